import { describe, expect, it } from "vitest";
import {
  type BridgeDomainValue,
  type BridgeMemberValue,
  bridgeMemberKey,
  type L2FibValue,
  l2FibKey,
  validateBridgeDomain,
  validateBridgeMember,
  validateL2CrossConnect,
  validateL2Fib,
} from "../../../../../src/models/vpp/l2.ts";

const refused = expect.objectContaining({ code: "INVALID_VALUE" });

describe("a bridge domain", () => {
  const good: BridgeDomainValue = {
    id: 0xff_ffff,
    name: "blue",
    flood: true,
    uuFlood: true,
    forward: true,
    learn: true,
    arpTerm: false,
    macAge: 255,
  };

  it("is accepted", () => expect(() => validateBridgeDomain(good)).not.toThrow());

  it.each<[string, Partial<BridgeDomainValue>]>([
    ["VPP's own number", { id: 0 }],
    ["a number above L2_BD_ID_MAX", { id: 2 ** 24 }],
    ["no name", { name: "" }],
    ["a name that does not fit into its tag", { name: "n".repeat(57) }],
    ["an age that does not fit into a byte", { macAge: 256 }],
  ])("is refused with %s", (_why, bad) => {
    expect(() => validateBridgeDomain({ ...good, ...bad })).toThrow(refused);
  });
});

describe("a member of a bridge domain", () => {
  const good: BridgeMemberValue = { bridge: 1, interface: "hda", port: "normal", splitHorizon: 255 };

  it("is accepted", () => {
    expect(() => validateBridgeMember(good)).not.toThrow();
    expect(() => validateBridgeMember({ ...good, port: "uu-fwd", splitHorizon: 0 })).not.toThrow();
    expect(bridgeMemberKey(good)).toBe("vpp/bridge-member/1/hda");
  });

  it.each<[string, Partial<BridgeMemberValue>]>([
    ["the domain that drops everything", { bridge: 0 }],
    ["a name that is none", { interface: "a/b" }],
    ["a group that does not fit into a byte", { splitHorizon: 256 }],
    ["a group that would not be read back", { port: "uu-fwd", splitHorizon: 1 }],
  ])("is refused with %s", (_why, bad) => {
    expect(() => validateBridgeMember({ ...good, ...bad })).toThrow(refused);
  });
});

describe("a MAC address of a bridge domain", () => {
  const good: L2FibValue = { bridge: 1, mac: "02:fe:00:00:00:01", kind: "static", interface: "hda" };

  it("is accepted", () => {
    expect(() => validateL2Fib(good)).not.toThrow();
    expect(() => validateL2Fib({ bridge: 1, mac: good.mac, kind: "filter" })).not.toThrow();
    expect(l2FibKey(good)).toBe("vpp/l2-fib/1/02:fe:00:00:00:01");
  });

  it.each<[string, L2FibValue]>([
    ["the domain that drops everything", { ...good, bridge: 0 }],
    ["letters that are not canonical", { ...good, mac: "02:FE:00:00:00:01" }],
    ["a group's address", { ...good, mac: "33:33:00:00:00:01" }],
    ["a name that is none", { ...good, interface: "" }],
  ])("is refused with %s", (_why, bad) => expect(() => validateL2Fib(bad)).toThrow(refused));
});

describe("a cross-connect", () => {
  it("is accepted between two interfaces", () => {
    expect(() => validateL2CrossConnect({ rx: "hda", tx: "hdb" })).not.toThrow();
  });

  it.each([
    ["itself", "hda"],
    ["a name that is none", "h d"],
  ])("is refused to %s", (_why, tx) => {
    expect(() => validateL2CrossConnect({ rx: "hda", tx })).toThrow(refused);
  });
});
