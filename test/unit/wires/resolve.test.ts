import { describe, expect, it } from "vitest";
import type { Wire, WireEnd } from "../../../src/models/wire.ts";
import type { WirableInterface, WireSurroundings } from "../../../src/wires/api.ts";
import { resolveWires } from "../../../src/wires/resolve.ts";

const link = (pod: string, name: string, more: Partial<WirableInterface> = {}): WirableInterface => ({
  pod,
  name,
  kind: "veth",
  hostIf: `hd-${pod.replace("/", "-")}-${name}`,
  mac: "02:00:00:00:00:01",
  mtu: 1450,
  ...more,
});
const surroundings: WireSurroundings = {
  interfaces: [
    link("t/a", "wire0"),
    link("t/a", "wire1", { mtu: 1400 }),
    link("t/nf", "memif1", { kind: "memif" }),
    link("t/b", "wire0"),
  ],
  underlayIps: ["192.0.2.1", "fd77::1"],
  underlayMtu: 1500,
  overlayVni: 10,
};
const vxlan = (vni: number, remote = "192.0.2.2"): WireEnd => ({ vxlan: { remote, vni } });
const end = (pod: string, name: string, more: object = {}): WireEnd => ({ pod, interface: name, ...more });
const l2 = (name: string, ...ends: [WireEnd, WireEnd]): Wire => ({ name, layer: "l2", ends });
const resolve = (wires: readonly Wire[], more: Partial<WireSurroundings> = {}) =>
  Object.fromEntries(resolveWires(wires, { ...surroundings, ...more }));

describe("wires", () => {
  it("are given the node's ends of pods' interfaces, its own addresses, and the smallest MTU", () => {
    const found = resolve([
      l2("a", end("t/a", "wire1"), vxlan(1)),
      l2("b", end("t/nf", "memif1"), { srv6: { sid: "fd01::1", segments: ["fd02::1"] } }),
    ]);
    expect(found).toMatchObject({
      a: {
        mtu: 1400,
        ends: [
          { kind: "pod", hostIf: "hd-t-a-wire1" },
          { kind: "vxlan", local: "192.0.2.1", remote: "192.0.2.2", vni: 1 },
        ],
      },
      b: { mtu: 1422, ends: [{ hostIf: "hd-t-nf-memif1" }, { kind: "srv6", source: "fd77::1" }] },
    });
  });

  it.each<[string, WireEnd, object]>([
    ["a pod that is not here", end("t/x", "wire0"), { state: "waiting" }],
    ["an interface that the pod has not", end("t/a", "eth0"), { state: "waiting" }],
    ["the overlay's VNI", vxlan(10), { state: "refused", reason: "VNI 10 is the overlay's" }],
    ["the node itself", vxlan(1, "192.0.2.1"), { state: "refused", reason: "192.0.2.1 is this node itself" }],
  ])("have no row with %s at an end", (_, other, expected) => {
    expect(resolve([l2("w", end("t/a", "wire0"), other)])["w"]).toMatchObject(expected);
  });

  it.each<[number, WireEnd, WireEnd]>([
    [1450, end("t/a", "wire0"), vxlan(1)],
    [1430, end("t/a", "wire0"), vxlan(1, "fd77::2")],
    [1422, end("t/a", "wire0"), { srv6: { sid: "fd01::1", segments: ["fd02::1"] } }],
    [1406, vxlan(1), { srv6: { sid: "fd01::1", segments: ["fd03::1", "fd02::1"] } }],
    [1400, end("t/a", "wire1"), end("t/b", "wire0")],
  ])("have the MTU %i, whatever is put around packets: %j %j", (mtu, ...ends) => {
    expect(resolve([l2("w", ...ends)])["w"]).toMatchObject({ mtu });
  });

  it("have no row for a family that the node has no address of", () => {
    const found = resolve([l2("w", end("t/a", "wire0"), vxlan(1, "fd77::2"))], { underlayIps: ["192.0.2.1"] });
    expect(found["w"]).toEqual({ state: "refused", reason: "this node has no IPv6 address to reach fd77::2 from" });
  });

  it("share no end: the first by name has it", () => {
    const found = resolve([
      l2("c", end("t/a", "wire1"), vxlan(1)),
      l2("b", end("t/b", "wire0"), end("t/a", "wire0")),
      l2("a", end("t/a", "wire0"), vxlan(1)),
    ]);
    expect(found["a"]).toHaveProperty("ends");
    expect(found["b"]).toEqual({ state: "refused", reason: "wire0 of pod t/a is an end of wire a" });
    expect(found["c"]).toEqual({ state: "refused", reason: "VNI 1 to 192.0.2.2 is an end of wire a" });
  });

  it("take nothing from others where they themselves have no row", () => {
    const found = resolve([l2("a", end("t/a", "wire0"), vxlan(10)), l2("b", end("t/a", "wire0"), vxlan(1))]);
    expect(found["b"]).toHaveProperty("ends");
  });

  it("of packets know a device's Ethernet address, and have to be told a memif's", () => {
    const l3 = (mac?: string): Wire => ({
      name: "w",
      layer: "l3",
      ends: [
        end("t/a", "wire0", { addresses: ["10.9.0.1"] }),
        end("t/nf", "memif1", { addresses: ["10.9.0.2"], ...(mac === undefined ? {} : { mac }) }),
      ],
    });
    expect(resolve([l3()])["w"]).toMatchObject({ state: "refused" });
    expect(resolve([l3("02:00:00:00:00:09")])["w"]).toMatchObject({
      ends: [
        { mac: "02:00:00:00:00:01", addresses: ["10.9.0.1"] },
        { mac: "02:00:00:00:00:09", addresses: ["10.9.0.2"] },
      ],
    });
  });
});
