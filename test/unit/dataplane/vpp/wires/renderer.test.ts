import { describe, expect, it } from "vitest";
import { renderLocalNode } from "../../../../../src/dataplane/vpp/nodes/renderer.ts";
import { renderPod } from "../../../../../src/dataplane/vpp/pods/renderer.ts";
import { bindingSid } from "../../../../../src/dataplane/vpp/wires/remote.ts";
import { renderWire } from "../../../../../src/dataplane/vpp/wires/renderer.ts";
import type { FurtherInterface } from "../../../../../src/pods/api.ts";
import type { PodEndRow, WireEndRow, WireRow } from "../../../../../src/wires/api.ts";
import { localRow } from "../../../../support/linux/rows.ts";
import { podRow } from "../../../../support/pods/rows.ts";
import { byKey, flawsOf, UPLINK } from "../../../../support/vpp/rendered.ts";

const A = "hd000000000000a";
const B = "hd000000000000b";
const further = (hostIf: string, number: number): FurtherInterface => ({
  ...{ name: `wire${number}`, kind: number === 1 ? "veth" : "memif", number },
  hostIf,
  mac: `02:00:00:00:01:0${number}`,
});
const pod = (hostIf: string, more: Partial<PodEndRow> = {}): PodEndRow => ({
  ...{ kind: "pod", hostIf, mtu: 1450, addresses: [], mac: undefined },
  ...more,
});
const vxlan: WireEndRow = { kind: "vxlan", local: "192.168.0.1", remote: "192.168.0.2", vni: 77 };
const srv6: WireEndRow = {
  ...{ kind: "srv6", source: "fd00::1", sid: "fd01::1", segments: ["fd03::1", "fd02::1"], via: "fd00::2" },
};
const key = (fill: number): string => Buffer.alloc(32, fill).toString("base64");
const wireguard: WireEndRow = {
  ...{ kind: "wireguard", local: "192.168.0.1", port: 51_820, privateKey: key(1), publicKey: key(2) },
  endpoint: { address: "192.168.0.2", port: 51_820 },
};
const row = (layer: WireRow["layer"], ...ends: [WireEndRow, WireEndRow]): WireRow => ({
  name: "w",
  layer,
  ends,
  mtu: 1400,
});
const routed = (hostIf: string, n: number) =>
  pod(hostIf, { addresses: [`10.9.0.${n}`, `fd09::${n}`], mac: `02:00:00:00:01:0${n}` });
const wired = (wire: WireRow) => byKey(renderWire(wire));

describe("a wire on VPP", () => {
  it.each<[string, WireRow]>([
    ["pods, frames", row("l2", pod(A), pod(B))],
    ["a pod and VXLAN", row("l2", pod(A), vxlan)],
    ["SRv6 and a pod", row("l2", srv6, pod(B))],
    ["VXLAN and SRv6", row("l2", vxlan, srv6)],
    ["pods, packets", row("l3", routed(A, 1), routed(B, 2))],
    ["a pod and WireGuard", row("l3", routed(A, 1), wireguard)],
  ])("waits for nothing but what its pods and node have: %s", (_, wire) => {
    const items = [
      ...renderLocalNode(localRow(), { uplinks: [UPLINK], netnsId: "4:0" }),
      ...renderPod(podRow({ further: [further(A, 1), further(B, 2)] }), {}),
      ...renderWire(wire),
    ];
    expect(flawsOf(items, ["eth0"])).toEqual([]);
  });

  it("of frames connects two interfaces, one item a way", () => {
    expect(wired(row("l2", pod(A), pod(B)))).toEqual({
      [`vpp/l2-cross-connect/${A}`]: { rx: A, tx: B },
      [`vpp/l2-cross-connect/${B}`]: { rx: B, tx: A },
    });
  });

  it("has a tunnel of its own for VXLAN", () => {
    expect(wired(row("l2", pod(A), vxlan))).toEqual({
      "vpp/interface/wire-w-1": {
        ...{ kind: "vxlan", name: "wire-w-1", mtu: 1400, vni: 77, port: 4789, vrf: 0 },
        ...{ local: "192.168.0.1", remote: "192.168.0.2" },
      },
      "vpp/interface-up/wire-w-1": { interface: "wire-w-1", requires: [] },
      [`vpp/l2-cross-connect/${A}`]: { rx: A, tx: "wire-w-1" },
      "vpp/l2-cross-connect/wire-w-1": { rx: "wire-w-1", tx: A },
    });
  });

  it("steers frames along segments, and takes those that come to its SID", () => {
    const bsid = bindingSid("w", "fd01::1");
    expect(wired(row("l2", pod(A), srv6))).toMatchObject({
      [`vpp/srv6-policy/${bsid}`]: { encapSource: "fd00::1", lists: [{ segments: ["fd03::1", "fd02::1"] }] },
      "vpp/route/0/fd03::1/128": { paths: [{ type: "via", gateway: "fd00::2" }] },
      [`vpp/srv6-steering/l2/${A}`]: { traffic: { interface: A }, policy: bsid },
      "vpp/srv6-localsid/fd01::1": { behavior: { type: "end.dx2", interface: A } },
    });
  });

  it("of packets sends all of a family to what the other end has of it", () => {
    const items = wired(row("l3", pod(A, { addresses: ["10.9.0.1"], mac: "02:00:00:00:01:01" }), routed(B, 2)));
    expect(Object.keys(items).filter((name) => name.startsWith("vpp/l3xc/"))).toEqual([
      `vpp/l3xc/${A}/4`,
      `vpp/l3xc/${A}/6`,
      `vpp/l3xc/${B}/4`,
    ]);
    // Tables of their own, for families that the wire does not carry, too.
    const bound = Object.entries(items).flatMap(([name, value]) =>
      name.startsWith("vpp/interface-vrf/") ? [(value as { readonly vrf: number }).vrf] : [],
    );
    expect(bound).toHaveLength(4);
    expect(new Set(bound).size).toBe(2);
    expect(Math.min(...bound)).toBeGreaterThan(1);
    expect(items[`vpp/l3xc/${B}/4`]).toMatchObject({ paths: [{ interface: A, gateway: "10.9.0.1" }] });
  });

  it("tells no two wires' binding SIDs apart by chance alone", () => {
    const sids = Array.from({ length: 1000 }, (_, i) => bindingSid(`w${i}`, "fd01::1"));
    expect(new Set(sids).size).toBe(1000);
    for (const sid of sids) expect(sid).toMatch(/^fd68:6564:646c(:[1-9a-f][0-9a-f]{0,3}){5}$/);
  });
});
