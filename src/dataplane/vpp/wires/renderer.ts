import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type L2CrossConnectValue, l2CrossConnectKey } from "../../../models/vpp/l2.ts";
import { type RoutePath, vppNeighbourKey } from "../../../models/vpp/l3.ts";
import { type L3CrossConnectValue, l3CrossConnectKey } from "../../../models/vpp/l3xc.ts";
import {
  type Srv6LocalSidValue,
  type Srv6SteeringValue,
  srv6LocalSidKey,
  srv6SteeringKey,
} from "../../../models/vpp/srv6.ts";
import type { WireEndRow, WireRow } from "../../../wires/api.ts";
import { isIpv6, item } from "../item.ts";
import { wireInterface } from "../names.ts";
import { bindingSid, srv6Items, vxlanItems, wireguardItems } from "./remote.ts";
import { tableItems } from "./table.ts";

/** By these a WireGuard interface's only peer is the next hop of everything; nobody holds them. */
const PEER_HOP = { 4: "169.254.1.4", 6: "fe80::4" } as const;

/**
 * What joins two ends. Frames: each end's interface is connected to the other's, one item a way; an end along segments has no
 * interface, so the other's frames are steered to it, and its SID hands frames to the other's. Packets: everything that
 * comes in goes to the next hop at the other end, whatever its destination.
 */
export function* renderWire(row: WireRow): Iterable<KeyValue> {
  for (const [i, end] of row.ends.entries()) {
    const name = interfaceOf(row, i);
    if (end.kind === "vxlan") yield* vxlanItems(name, row.mtu, end);
    else if (end.kind === "srv6") yield* srv6Items(row.name, end);
    else if (end.kind === "wireguard") yield* wireguardItems(name, row.mtu, end);
    else if (row.layer === "l3") yield* routedPodItems(end);
  }
  yield* oneWay(row, 0);
  yield* oneWay(row, 1);
}

/** The interface of an end, in VPP. */
function interfaceOf({ name, ends }: WireRow, index: number): string {
  const end = ends[index];
  return end?.kind === "pod" ? end.hostIf : wireInterface(name, index);
}

/** From the end with this index to the other. */
function* oneWay(row: WireRow, from: 0 | 1): Iterable<KeyValue> {
  const to = from === 0 ? 1 : 0;
  const [source, target] = [row.ends[from], row.ends[to]];
  const [rx, tx] = [interfaceOf(row, from), interfaceOf(row, to)];
  if (row.layer === "l3") yield* packets(rx, tx, target);
  else if (source.kind === "srv6") {
    const value: Srv6LocalSidValue = { sid: source.sid, vrf: 0, behavior: { type: "end.dx2", interface: tx } };
    yield item((v) => srv6LocalSidKey(v.sid), value);
  } else if (target.kind === "srv6") {
    const value: Srv6SteeringValue = { traffic: { interface: rx }, policy: bindingSid(row.name, target.sid) };
    yield item(srv6SteeringKey, value);
  } else {
    yield item((v) => l2CrossConnectKey(v.rx), { rx, tx } satisfies L2CrossConnectValue);
  }
}

function* packets(from: string, to: string, end: WireEndRow): Iterable<KeyValue> {
  const hops = end.kind === "pod" ? end.addresses : [PEER_HOP[4], PEER_HOP[6]];
  for (const gateway of hops) {
    const path: RoutePath = { type: "via", interface: to, gateway };
    const value: L3CrossConnectValue = { interface: from, family: isIpv6(gateway) ? 6 : 4, paths: [path] };
    yield item(l3CrossConnectKey, value);
  }
}

/** The pod is a neighbour that is told, as on its first interface. */
function* routedPodItems({ hostIf, addresses, mac }: Extract<WireEndRow, { kind: "pod" }>): Iterable<KeyValue> {
  yield* tableItems(hostIf, addresses);
  if (mac === undefined) return;
  for (const address of addresses) yield item(vppNeighbourKey, { interface: hostIf, address, mac });
}
