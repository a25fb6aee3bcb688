import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { sandboxId } from "../../../src/pods/api.ts";
import {
  decodeSandbox,
  encodeSandbox,
  hostIfName,
  podMac,
  type Sandbox,
  SandboxRecordError,
  sandboxKey,
} from "../../../src/pods/sandbox.ts";

const id = sandboxId("0123abcd", "eth0");
const key = sandboxKey(id);

const sandbox = (more: Partial<Sandbox["row"]> = {}): Sandbox => ({
  row: {
    id,
    netns: "/run/netns/blue",
    netnsId: "4:4026532281",
    ifName: "eth0",
    hostIf: hostIfName(id),
    ips: ["10.244.1.2", "fd10:244:0:1::2"],
    mac: podMac(id),
    mtu: 1450,
    hostPorts: [{ protocol: "tcp", hostPort: 8080, containerPort: 80, hostIp: "192.0.2.1" }],
    bandwidth: { ingressRate: 1, ingressBurst: 2, egressRate: 3, egressBurst: 4 },
    routeMetric: 2048,
    ...more,
  },
  containerId: "0123abcd",
  network: "net",
  pod: { namespace: "ns", name: "web", uid: "u" },
  asked: "digest",
  addedAt: 1_700_000_000_000,
});

const errorOf = (text: string): string => {
  try {
    decodeSandbox(key, text);
  } catch (e) {
    if (e instanceof SandboxRecordError) return `${e.code} ${e.message}`;
    throw e;
  }
  return "no error";
};

describe("a sandbox's record", () => {
  it.each([
    ["with everything", sandbox()],
    ["with the least", { ...sandbox({ hostPorts: [], bandwidth: undefined, routeMetric: undefined }), pod: undefined }],
    ["of a pod without a UID", { ...sandbox(), pod: { namespace: "ns", name: "web" } }],
  ])("reads back as it was written, %s", (_what, value) => {
    expect(decodeSandbox(key, encodeSandbox(value))).toEqual(value);
  });

  it("may have members that a later agent of the same version adds", () => {
    const more = JSON.stringify({ ...(JSON.parse(encodeSandbox(sandbox())) as object), later: "x" });
    expect(decodeSandbox(key, more)).toEqual(sandbox());
  });

  it.each([
    ["", "BAD_RECORD local database, sandbox/0123abcd/eth0: not JSON"],
    ["{", "BAD_RECORD local database, sandbox/0123abcd/eth0: not JSON"],
    ['{"v":2}', "NEWER_RECORD local database, sandbox/0123abcd/eth0: version 2, this agent knows 1"],
    ["null", "BAD_RECORD local database, sandbox/0123abcd/eth0: "],
    ["[]", "BAD_RECORD local database, sandbox/0123abcd/eth0: "],
    ['{"v":"1"}', "BAD_RECORD local database, sandbox/0123abcd/eth0: "],
  ])("that is %j is refused by name", (text, expected) => {
    expect(errorOf(text).startsWith(expected)).toBe(true);
  });

  it.each(Object.keys(JSON.parse(encodeSandbox(sandbox())) as object))(
    "without a usable %s is refused by name",
    (name) => {
      const value = JSON.parse(encodeSandbox(sandbox())) as Record<string, unknown>;
      value[name] = { no: "such thing" };
      expect(errorOf(JSON.stringify(value))).toMatch(new RegExp(`^BAD_RECORD .*${name}`, "s"));
    },
  );

  it("never makes a decoder throw anything else", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => errorOf(text) !== "no error"));
  });
});

describe("names made of a sandbox's identity", () => {
  it("fit the kernel's limit and are those of other sandboxes too seldom to matter", () => {
    const ids = Array.from({ length: 5000 }, (_, i) => sandboxId(`c${i}`, "eth0"));
    const names = new Set(ids.map(hostIfName));
    expect(names.size).toBe(ids.length);
    for (const name of names) expect(name).toMatch(/^hd[0-9a-f]{13}$/);
    expect(new Set(ids.map(podMac)).size).toBe(ids.length);
  });

  it("stay the same over restarts and releases: they are what a restarted agent looks for", () => {
    // printf '0123abcd/eth0' | sha256sum; printf 'mac 0123abcd/eth0' | sha256sum
    expect([hostIfName(id), podMac(id)]).toEqual(["hd2b30002f723a2", "02:1f:07:2a:e1:e4"]);
  });

  it("make a unicast address that is locally administered", () => {
    fc.assert(
      fc.property(fc.string(), (name) => {
        const first = Number.parseInt(podMac(sandboxId(name, "eth0")).slice(0, 2), 16);
        expect(first & 0b11).toBe(0b10);
      }),
    );
  });
});
