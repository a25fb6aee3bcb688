import { createHash } from "node:crypto";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { interfaceKey, interfaceUpKey, type VxlanValue } from "../../../models/vpp/interface.ts";
import type { WireguardValue } from "../../../models/vpp/interface-kinds.ts";
import { vppRouteKey } from "../../../models/vpp/l3.ts";
import { type Srv6PolicyValue, srv6PolicyKey } from "../../../models/vpp/srv6.ts";
import { type WireguardPeerValue, wireguardPeerKey } from "../../../models/vpp/wireguard.ts";
import type { WireEndRow } from "../../../wires/api.ts";
import { hostCidr, item } from "../item.ts";
import { tableItems } from "./table.ts";

type Remote<K extends WireEndRow["kind"]> = Extract<WireEndRow, { kind: K }>;

/** Of VXLAN without anything else said (RFC 7348, section 5). */
const VXLAN_PORT = 4789;

/** A tunnel of the wire's own: `name` of its interface. */
export function* vxlanItems(name: string, mtu: number, end: Remote<"vxlan">): Iterable<KeyValue> {
  const { local, remote, vni, port = VXLAN_PORT } = end;
  const tunnel: VxlanValue = { kind: "vxlan", name, mtu, local, remote, vni, port, vrf: 0 };
  yield { key: interfaceKey(name), value: tunnel };
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires: [] });
}

/** The way along segments; what is sent by it is said elsewhere. */
export function* srv6Items(wire: string, end: Remote<"srv6">): Iterable<KeyValue> {
  const { source: encapSource, segments, via } = end;
  const policy: Srv6PolicyValue = {
    bsid: bindingSid(wire, end.sid),
    vrf: 0,
    encapSource,
    spray: false,
    lists: [{ segments, weight: 1 }],
  };
  yield item((v) => srv6PolicyKey(v.bsid), policy);
  const [first] = segments;
  if (via === undefined || first === undefined) return;
  yield item(vppRouteKey, { vrf: 0, dst: hostCidr(first), paths: [{ type: "via" as const, gateway: via }] });
}

/** fd68:6564:646c::/48 (RFC 4193; "heddl") and 80 bits of a digest: an address for VPP alone, that nobody sends to. */
export function bindingSid(wire: string, sid: string): string {
  const hex = createHash("sha256").update(`${wire} ${sid}`).digest("hex");
  // No group is zero, and so none is left out of the canonical text.
  const groups = [0, 4, 8, 12, 16].map((at) => (Number.parseInt(hex.slice(at, at + 4), 16) | 1).toString(16));
  return ["fd68", "6564", "646c", ...groups].join(":");
}

/** An interface with one peer, which may send anything: what it sends goes to the wire's other end alone. */
export function* wireguardItems(name: string, mtu: number, end: Remote<"wireguard">): Iterable<KeyValue> {
  const { local, port, privateKey, publicKey, presharedKey, endpoint, keepalive = 0 } = end;
  const own: WireguardValue = { kind: "wireguard", name, mtu, local, port, privateKey };
  yield { key: interfaceKey(name), value: own };
  const peer: WireguardPeerValue = {
    interface: name,
    publicKey,
    ...(presharedKey === undefined ? {} : { presharedKey }),
    endpoint,
    vrf: 0,
    keepalive,
    allowed: ["0.0.0.0/0", "::/0"],
  };
  yield item(wireguardPeerKey, peer);
  const requires = [wireguardPeerKey(peer), ...(yield* tableItems(name, []))];
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires });
}
