import { describe, expect, it } from "vitest";
import { ModelError } from "../../../src/models/versioned-json.ts";
import {
  configPrefix,
  decodeWire,
  encodeWire,
  type Wire,
  type WireEnd,
  wireKey,
  wirePrefix,
} from "../../../src/models/wire.ts";

const PREFIX = wirePrefix("n1");
const SECRET = Buffer.alloc(32, 7).toString("base64");
const pod: WireEnd = { pod: "t/client", interface: "wire0" };
const routed: WireEnd = { ...pod, addresses: ["10.9.0.1", "fd09::1"], mac: "02:00:00:00:00:01" };
const vxlan: WireEnd = { vxlan: { remote: "192.0.2.2", vni: 77, port: 4790 } };
const srv6: WireEnd = { srv6: { sid: "fd01::1", segments: ["fd03::1", "fd02::1"], via: "fd77::2" } };
const wireguard: WireEnd = {
  wireguard: {
    port: 51_820,
    privateKey: SECRET,
    publicKey: Buffer.alloc(32, 8).toString("base64"),
    presharedKey: Buffer.alloc(32, 9).toString("base64"),
    endpoint: { address: "192.0.2.2", port: 51_821 },
    keepalive: 25,
  },
};

const decode = (value: unknown, name = "w"): Wire =>
  decodeWire(PREFIX, wireKey("n1", name), Buffer.from(JSON.stringify({ v: 1, ...(value as object) })));
const problem = (value: unknown, name = "w"): string => {
  try {
    decode(value, name);
  } catch (e) {
    if (e instanceof ModelError) return e.message;
    throw e;
  }
  return "no error";
};

describe("a wire in the store", () => {
  it.each<[Wire["layer"], WireEnd, WireEnd]>([
    ["l2", pod, { ...pod, interface: "wire1" }],
    ["l2", pod, vxlan],
    ["l2", srv6, pod],
    ["l2", vxlan, srv6],
    ["l3", routed, wireguard],
  ])("is read as it is written: %s %j %j", (layer, ...ends) => {
    const wire: Wire = { name: "w-1.a", layer, ends };
    expect(decodeWire(PREFIX, wireKey("n1", "w-1.a"), encodeWire(wire))).toEqual(wire);
  });

  it("is below what one node is to configure, and no other one", () => {
    expect(PREFIX.startsWith(configPrefix("n1"))).toBe(true);
    expect(wirePrefix("n10").startsWith(configPrefix("n1"))).toBe(false);
    expect(() => configPrefix("a/b")).toThrow(ModelError);
  });

  it.each(["", "A", "a/b", "-a", "a-", "a b", "x".repeat(31)])("has no name %j", (name) => {
    expect(problem({ layer: "l2", ends: [pod, vxlan] }, name)).toContain("the name of a wire");
  });

  const change = (end: object, more: object) => ({ ...end, ...more });
  it.each<[string, unknown]>([
    ["ends", { layer: "l2" }],
    ["ends", { layer: "l2", ends: [pod] }],
    ["layer", { layer: "l4", ends: [pod, vxlan] }],
    ["ends.1.vxlan.remote", { layer: "l2", ends: [pod, { vxlan: { vni: 1 } }] }],
    ["ends.1.interface", { layer: "l2", ends: [vxlan, { pod: "t/a" }] }],
    ["ends.1", { layer: "l2", ends: [pod, change(vxlan, { pod: "t/a" })] }],
    ["ends[1].vxlan.vni", { layer: "l2", ends: [pod, { vxlan: { remote: "192.0.2.2", vni: 0 } }] }],
    ["ends[1].vxlan.vni", { layer: "l2", ends: [pod, { vxlan: { remote: "192.0.2.2", vni: 1 << 24 } }] }],
    ["ends[1].vxlan.remote", { layer: "l2", ends: [pod, { vxlan: { remote: "192.0.2.02", vni: 1 } }] }],
    ["ends[0].pod", { layer: "l2", ends: [{ pod: "client", interface: "a" }, vxlan] }],
    ["ends[0].addresses", { layer: "l2", ends: [routed, vxlan] }],
    ["ends[0].addresses", { layer: "l3", ends: [pod, wireguard] }],
    ["ends[0].addresses", { layer: "l3", ends: [{ ...pod, addresses: ["10.0.0.1", "10.0.0.2"] }, wireguard] }],
    ["ends[1].vxlan", { layer: "l3", ends: [routed, vxlan] }],
    ["ends[1].srv6", { layer: "l3", ends: [routed, srv6] }],
    ["ends[1].wireguard", { layer: "l2", ends: [pod, wireguard] }],
    ["ends[1]", { layer: "l2", ends: [pod, pod] }],
    ["ends[1].srv6.segments", { layer: "l2", ends: [pod, { srv6: { sid: "fd01::1", segments: [] } }] }],
    ["ends[1].srv6.segments", { layer: "l2", ends: [pod, { srv6: { sid: "fd01::1", segments: ["fd01::1"] } }] }],
    ["ends[1].srv6.sid", { layer: "l2", ends: [pod, { srv6: { sid: "10.0.0.1", segments: ["fd02::1"] } }] }],
  ])("is refused by field: %s", (field, value) => {
    expect(problem(value)).toMatch(`/wire/w: ${field}: `);
  });

  it("tells no secret when it is refused", () => {
    const short = { wireguard: { ...wireguard.wireguard, privateKey: SECRET.slice(4) } };
    const text = problem({ layer: "l3", ends: [routed, short] });
    expect(text).toContain("ends[1].wireguard.privateKey");
    expect(text).not.toContain(SECRET.slice(4, 12));
  });
});
