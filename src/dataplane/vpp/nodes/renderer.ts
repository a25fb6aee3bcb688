import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_IPV4, HOST_LINK } from "../../../models/linux.ts";
import { interfaceKey, interfaceUpKey, type LoopbackValue } from "../../../models/vpp/interface.ts";
import { vppAddressKey, vppRouteKey } from "../../../models/vpp/l3.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";
import { nftBaseItems, untranslatedPeer } from "../../linux/nodes/nft-base.ts";
import type { TakenUplink } from "../api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { GATEWAY_INTERFACE, GATEWAY_LOOPBACK_MAC, uplinkInterface } from "../names.ts";
import { outsideItems } from "./outside.ts";
import { overlayItems, overlayPeerItems } from "./overlay.ts";
import { pingItems } from "./pings.ts";
import { routeInPackets, segmentItems } from "./segments.ts";
import { translationItems } from "./translation.ts";
import { hostGateway, hostItems, uplinkItems } from "./uplink.ts";

export interface NodeContext {
  readonly uplinks: readonly TakenUplink[];
  /** Which network namespace this process is in. */
  readonly netnsId: string;
  readonly servesServices?: boolean | undefined;
}

/** VPP's own interfaces take what they are given. */
const LOOPBACK_MTU = 9000;

/** What a node has whether or not there are pods and peers. */
export function* renderLocalNode(
  row: LocalNodeRow,
  { uplinks, netnsId, servesServices }: NodeContext,
): Iterable<KeyValue> {
  const { podCIDRs, clusterCIDRs, masquerade } = row;
  yield* nftBaseItems({ podCIDRs, clusterCIDRs, masquerade, outBy: HOST_LINK });
  yield* outsideItems(row, uplinks);
  yield* gatewayItems(row);
  for (const dst of row.podCIDRs) yield item(vppRouteKey, { vrf: 0, dst, paths: [{ type: "unreachable" as const }] });
  yield* hostItems(uplinks, netnsId);
  for (const gateway of row.gateways) yield hostGateway(gateway);
  for (const uplink of uplinks) yield* uplinkItems(uplink, row);
  yield* segmentItems(uplinks, netnsId);
  if (row.overlay.kind === "vxlan") yield* overlayItems(row.overlay);
  yield* translationItems(row, uplinks, servesServices ?? false);
  if (servesServices && row.overlay.kind === "none") yield* pingItems(row, uplinks);
}

/** How this node reaches the pods of another. */
export function* renderPeer(peer: PeerRow, local: LocalNodeRow): Iterable<KeyValue> {
  if (local.overlay.kind === "vxlan") return yield* overlayPeerItems(peer, local.overlay);
  yield* untranslatedPeer(peer, local);
  for (const dst of peer.podCIDRs) {
    const gateway = peer.underlayIps.find((ip) => isIpv6(ip) === isIpv6(dst));
    const uplink = local.uplinks.find((u) => isIpv6(u.address) === isIpv6(dst));
    if (gateway === undefined || uplink === undefined) continue;
    yield* routeInPackets(dst, { type: "via", interface: uplinkInterface(uplink.link), gateway });
  }
}

/** Interfaces of pods have no addresses of their own: they borrow the node's, which VPP answers errors from. */
function* gatewayItems(row: LocalNodeRow): Iterable<KeyValue> {
  const gateway: LoopbackValue = {
    kind: "loopback",
    name: GATEWAY_INTERFACE,
    mac: GATEWAY_LOOPBACK_MAC,
    mtu: LOOPBACK_MTU,
  };
  yield { key: interfaceKey(GATEWAY_INTERFACE), value: gateway };
  for (const address of [...row.gateways, GATEWAY_IPV4]) {
    yield item(vppAddressKey, { interface: GATEWAY_INTERFACE, address: hostCidr(address) });
  }
  yield item((v) => interfaceUpKey(v.interface), { interface: GATEWAY_INTERFACE, requires: [] });
}
