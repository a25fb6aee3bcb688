import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type AddressValue,
  addressKey,
  type FdbValue,
  fdbKey,
  linkKey,
  type NeighbourValue,
  neighbourKey,
  type RouteValue,
  routeKey,
  type SysctlValue,
  sysctlKey,
  VXLAN_LINK,
  type VxlanValue,
} from "../../../models/linux.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";
import { nftBaseItems, untranslatedPeer } from "./nft-base.ts";

/** Lower than any other route to the same destination: a pod's host route is longer, a peer's subnet is another one. */
const UNREACHABLE_METRIC = 0x7fff_fffe;

/** What a node has whether or not there are pods and peers. */
export function* renderLocalNode(row: LocalNodeRow): Iterable<KeyValue> {
  if (hasFamily(row, 4)) yield sysctl("net/ipv4/conf/all/forwarding", "1", []);
  if (hasFamily(row, 6)) yield* ipv6Forwarding(row);
  for (const dst of row.podCIDRs) {
    // An address of ours that no pod has must not leave by the default route and come back.
    yield item(routeKey, { end: "node", type: "unreachable", dst, metric: UNREACHABLE_METRIC } satisfies RouteValue);
  }
  if (row.overlay.kind === "vxlan") {
    const { vni, port, mac, mtu, local } = row.overlay;
    const vxlan: VxlanValue = { kind: "vxlan", name: VXLAN_LINK, vni, port, mac, mtu, local, state: "up" };
    yield { key: linkKey(VXLAN_LINK), value: vxlan };
    for (const address of row.gateways) {
      const prefix = address.includes(":") ? 128 : 32;
      yield item(addressKey, { link: VXLAN_LINK, end: "node", address, prefix } satisfies AddressValue);
    }
  }
  yield* nftBaseItems({
    podCIDRs: row.podCIDRs,
    clusterCIDRs: row.clusterCIDRs,
    masquerade: row.masquerade,
  });
}

/** How this node reaches the pods of another. */
export function* renderPeer(peer: PeerRow, local: LocalNodeRow): Iterable<KeyValue> {
  if (local.overlay.kind === "none") {
    yield* untranslatedPeer(peer, local);
    for (const dst of peer.podCIDRs) {
      const gateway = peer.underlayIps.find((ip) => ip.includes(":") === dst.includes(":"));
      const link = local.uplinks.find((u) => u.address.includes(":") === dst.includes(":"))?.link;
      if (gateway === undefined || link === undefined) continue;
      yield item(routeKey, { link, end: "node", type: "unicast", dst, gateway } satisfies RouteValue);
    }
    return;
  }
  yield item(fdbKey, { link: VXLAN_LINK, mac: peer.vtepMac, dst: peer.underlayIp } satisfies FdbValue);
  for (const address of peer.vtepIps) {
    yield item(neighbourKey, { link: VXLAN_LINK, end: "node", address, mac: peer.vtepMac } satisfies NeighbourValue);
  }
  for (const dst of peer.podCIDRs) {
    const gateway = peer.vtepIps.find((ip) => ip.includes(":") === dst.includes(":"));
    if (gateway === undefined) continue;
    yield item(routeKey, {
      link: VXLAN_LINK,
      end: "node",
      type: "unicast",
      dst,
      gateway,
      onLink: true,
    } satisfies RouteValue);
  }
}

const hasFamily = (row: LocalNodeRow, family: 4 | 6): boolean =>
  row.podCIDRs.some((cidr) => cidr.includes(":") === (family === 6));

/**
 * The kernel drops what it learnt from router advertisements when it begins to forward, unless an interface is told to
 * listen all the same (accept_ra = 2).
 */
export function* ipv6Forwarding(row: Pick<LocalNodeRow, "raLinks">): Iterable<KeyValue> {
  const listening = row.raLinks.map((link) => `net/ipv6/conf/${link}/accept_ra`);
  for (const name of listening) yield sysctl(name, "2", []);
  yield sysctl("net/ipv6/conf/all/forwarding", "1", listening);
}

const sysctl = (name: string, value: string, after: readonly string[]): KeyValue => ({
  key: sysctlKey(name),
  value: { name, value, after } satisfies SysctlValue,
});

const item = <V>(keyOf: (value: V) => string, value: V): KeyValue => ({ key: keyOf(value), value });
