import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseCaptureStatus } from "../../../../../src/dataplane/vpp/diagnosis/capture.ts";
import { parseHardwareIndices } from "../../../../../src/dataplane/vpp/diagnosis/interface-names.ts";
import {
  parseAclSessions,
  parseErrors,
  parseFeatures,
  parseInterfaceCounters,
} from "../../../../../src/dataplane/vpp/diagnosis/show.ts";

/** What VPP 26.06 printed: `show interface`, `show interface features host-hda`, `show errors`, … */
const recorded = (name: string): string => readFileSync(join(import.meta.dirname, "recorded", name), "utf8");

describe("VPP's CLI texts", () => {
  it("have counters of interfaces", () => {
    const counters = parseInterfaceCounters(recorded("interfaces.txt"));
    expect([...counters.keys()]).toEqual(["host-hda", "host-hdb", "local0", "loop0", "vxlan_tunnel0"]);
    expect(counters.get("host-hda")?.get("rx packets")).toBeGreaterThan(0);
    expect(counters.get("host-hda")?.get("tx packets")).toBeGreaterThan(0);
    expect(counters.get("host-hda")?.get("drops")).toBeGreaterThan(0);
    expect(counters.get("local0")?.size).toBe(0);
  });

  it("have features by arc, in order, without the empty arcs", () => {
    const arcs = parseFeatures(recorded("features.txt"));
    expect(arcs.find(({ arc }) => arc === "ip4-unicast")?.features).toEqual([
      "cnat-lookup-ip4",
      "cnat-input-ip4",
      "acl-plugin-in-ip4-fa",
    ]);
    expect(arcs.map(({ arc }) => arc)).not.toContain("nsh-output");
  });

  it("have errors with reasons of several words", () => {
    const errors = parseErrors(recorded("errors.txt"));
    expect(errors).toContainEqual({
      count: expect.any(Number) as number,
      node: "acl-plugin-in-ip4-fa",
      reason: "ACL deny packets",
      severity: "error",
    });
    expect(errors.map(({ node }) => node)).not.toContain("Node");
    expect(errors).toHaveLength(recorded("errors.txt").trimEnd().split("\n").length - 1);
  });

  it("have totals of ACL sessions", () => {
    expect(parseAclSessions(recorded("acl-sessions.txt"))).toEqual({ active: 8, added: 10, deleted: 2 });
    expect(parseAclSessions("")).toBeUndefined();
  });

  it("have numbers of hardware interfaces", () => {
    const indices = parseHardwareIndices(recorded("hardware.txt"));
    expect(indices.get("host-hda")).toBe(1);
    expect(indices.get("host-hdb")).toBe(2);
    expect(indices.get("local0")).toBe(0);
  });

  it.each([
    ["pcap rx and tx dispatch capture enabled: 3 of 100 pkts...\ncapture to file /tmp/a.pcap\n", 3],
    ["pcap rx and tx and drop dispatch capture enabled: 0 of 7 pkts...\n", 0],
    ["pcap dispatch capture disabled\n", undefined],
  ])("have the state of a capture: %j", (text, packets) => {
    expect(parseCaptureStatus(text)).toBe(packets);
  });
});
