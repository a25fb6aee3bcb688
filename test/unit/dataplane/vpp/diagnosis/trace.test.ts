import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { InterfaceNames, parseHardwareIndices } from "../../../../../src/dataplane/vpp/diagnosis/interface-names.ts";
import { packetPath, passes, pathText, verdictText } from "../../../../../src/dataplane/vpp/diagnosis/packet-path.ts";
import { parseTrace, type TraceNode } from "../../../../../src/dataplane/vpp/diagnosis/trace-text.ts";

const recorded = (name: string): string => readFileSync(join(import.meta.dirname, "recorded", name), "utf8");

const names = new InterfaceNames(
  [
    { swIfIndex: 0, vppName: "local0" },
    { swIfIndex: 1, vppName: "host-hda", name: "default/a" },
    { swIfIndex: 2, vppName: "host-hdb", name: "default/b" },
    { swIfIndex: 3, vppName: "vxlan_tunnel0" },
    { swIfIndex: 4, vppName: "loop0" },
  ],
  parseHardwareIndices(recorded("hardware.txt")),
);
const words = { names, acls: new Map([[0, "web"]]) };
const packets: readonly TraceNode[][] = recorded("trace.txt")
  .split(/^Packet \d+$/m)
  .slice(1)
  .map(parseTrace);
const paths = packets.map((nodes) => packetPath(nodes, words));
const find = (packet: string) => paths.find((p) => p.packet.startsWith(packet));

describe("a recorded trace", () => {
  it("is told node by node", () => {
    const text = paths.map((path, i) => `${pathText(path, i + 1)}\n`).join("\n");
    expect(text).toBe(recorded("paths.txt"));
  });

  it.each([
    ["TCP 10.1.0.2:38912 -> 10.96.0.1:80 SYN", "sent through default/b (host-hdb)"],
    ["UDP 10.1.0.2:36080 -> 10.2.0.2:99", "dropped by acl-plugin-in-ip4-fa: ACL deny packets"],
    ["UDP [fd01::2]:55533 -> [fd02::2]:99", "dropped by acl-plugin-in-ip6-fa: ACL deny packets"],
    ["ICMP 10.1.0.2 -> 10.9.0.2 echo_request", "dropped by ip4-drop: no route, or one that drops"],
    ["ARP 10.1.0.2 asks for 10.1.0.1", "sent through default/a (host-hda)"],
    ["ICMP 10.2.0.2 -> 10.2.0.1 destination_unreachable", "punted by ip4-punt: ip4-icmp-input: unknown type"],
  ])("of %s says that it was %s", (packet, verdict) => {
    const path = find(packet);
    expect(path && verdictText(path.verdict)).toBe(verdict);
  });

  it("names interfaces as VPP does where they are not ours", () => {
    const nobody = { names: new InterfaceNames([]), acls: new Map() };
    const path = packetPath(packets[0] ?? [], nobody);
    expect(path.from).toBeUndefined();
    expect(verdictText(path.verdict)).toBe("sent through host-hdb");
    expect(path.steps.find(({ node }) => node === "ip4-rewrite")?.says).toBe("to interface 2 via 10.2.0.2");
  });

  it.each([
    ["default/a", [0, 1, 2, 3, 4, 5, 6, 8]],
    ["host-hdb", [0, 1, 2, 6, 7, 9]],
    ["vxlan_tunnel0", [6, 9]],
    ["local0", []],
  ])("passes %s with these packets", (name, expected) => {
    const through = packets.flatMap((nodes, i) => (passes(nodes, names.find(name), names) ? [i] : []));
    expect(through).toEqual(expected);
  });
});

describe("a trace's text", () => {
  it("has each node with its time and its lines", () => {
    const text = "\n01:02:03:000004: ethernet-input\n  IP4: a -> b\n    more\n01:02:03:000010: drop\n";
    expect(parseTrace(text)).toEqual([
      { node: "ethernet-input", at: 3_723_000_004, text: ["IP4: a -> b", "  more"] },
      { node: "drop", at: 3_723_000_010, text: [] },
    ]);
  });

  it.each(["", "No packets in trace buffer", "99: x", "00:00:00:1: short", "\0\ufffd"])(
    "may be anything: %j",
    (text) => {
      const path = packetPath(parseTrace(text), words);
      expect(path.steps).toEqual([]);
      expect(pathText(path, 1)).toContain("packet 1");
    },
  );

  it("of nodes that nobody knows is shown with its first line", () => {
    const [node] = packetPath(parseTrace("00:00:00:000001: new-node\n  says this\n  and that"), words).steps;
    expect(node).toEqual({ node: "new-node", after: 0, says: "says this" });
  });

  it("of a node that says something else than it used to falls back to its first line", () => {
    const texts = ["acl-plugin-in-ip4-fa", "cnat-input-ip4", "vxlan4-encap", "ip4-rewrite", "l2-fwd", "ip4-lookup"];
    for (const name of texts) {
      const [step] = packetPath(parseTrace(`00:00:00:000001: ${name}\n  changed`), words).steps;
      expect(step?.says, name).toContain("changed");
    }
  });
});

describe("interfaces", () => {
  it.each(["default/a", "host-hda", "1"])("are found by %s", (text) => {
    expect(names.find(text)).toMatchObject({ swIfIndex: 1, vppName: "host-hda" });
  });

  it("that are not there are refused with those that are", () => {
    expect(() => names.find("default/c")).toThrow(
      expect.objectContaining({ code: "NO_SUCH_INTERFACE", message: expect.stringContaining("default/a") }),
    );
  });
});
