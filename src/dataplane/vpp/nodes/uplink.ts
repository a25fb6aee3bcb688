import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type AddressValue,
  addressKey,
  type CarrierValue,
  carrierKey,
  GATEWAY_IPV4,
  GATEWAY_IPV6,
  GATEWAY_MAC,
  HOST_LINK,
  HOST_MAC,
  HOST_PEER,
  KERNEL_MAC,
  linkKey,
  type NeighbourValue,
  neighbourKey,
  OWN_NETNS,
  type RouteValue,
  routeKey,
  type SysctlValue,
  sysctlKey,
  type TakenLinkValue,
  takenLinkKey,
  type VethValue,
} from "../../../models/linux.ts";
import { nftChainKey } from "../../../models/nft.ts";
import { type DhcpClientValue, dhcpClientKey } from "../../../models/vpp/dhcp.ts";
import { interfaceKey, interfaceUpKey } from "../../../models/vpp/interface.ts";
import { type RoutePath, unnumberedKey, vppAddressKey, vppNeighbourKey, vppRouteKey } from "../../../models/vpp/l3.ts";
import { type PuntRedirectValue, puntRedirectKey, puntUnknownUdpKey } from "../../../models/vpp/punt.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import { LOOPBACK_GUARD } from "../../linux/nodes/nft-base.ts";
import type { TakenUplink } from "../api.ts";
import { isIpv6, item } from "../item.ts";
import { GATEWAY_INTERFACE, HOST_HOP, HOST_INTERFACE, uplinkInterface } from "../names.ts";
import { dropChain, dropChainKey, sharedDevice } from "../shared-device.ts";
import { uplinkValue } from "../uplink/interface.ts";

const EVERYTHING_IPV4 = "0.0.0.0/0";

/**
 * A link of the node in VPP, which takes over its addresses and routes. The kernel lets go of them only when VPP forwards
 * there and the host is reached through it; until then it goes on as it was.
 */
export function* uplinkItems(uplink: TakenUplink, cluster: HostsCluster): Iterable<KeyValue> {
  const { link } = uplink;
  const name = uplinkInterface(link);
  yield { key: interfaceKey(name), value: uplinkValue(uplink, name) };
  yield* dhcpItems(uplink);
  const { addresses: own, routes: ways } = configured(uplink);
  const addresses = own.map((address) => item(vppAddressKey, { interface: name, address }));
  yield* addresses;
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires: addresses.map(({ key }) => key) });
  const vppRoutes = ways.map(({ dst, gateway }) => {
    const path: RoutePath = { type: "via", interface: name, ...(gateway ? { gateway } : {}) };
    // VPP asks for a gateway's Ethernet address when it gets a route, and drops what comes while it does not know it.
    return item(vppRouteKey, { vrf: 0, dst, paths: [path], requires: [interfaceUpKey(name)] });
  });
  yield* vppRoutes;
  const forwards = [interfaceUpKey(name), interfaceUpKey(HOST_INTERFACE), ...vppRoutes.map(({ key }) => key)];
  const routes = [...hostRoutes(uplink, cluster, forwards)];
  yield* routes;
  // A device of DPDK's has no link in the kernel any more.
  if (uplink.by?.kind === "dpdk") return;
  yield { key: dropChainKey(link), value: dropChain(link, forwards) };
  const taken: TakenLinkValue = {
    link,
    addresses: uplink.addresses,
    routes: uplink.routes,
    gro: uplink.gro,
    ...(uplink.dhcp ? { dhcp: true } : {}),
    requires: [...forwards, dropChainKey(link), ...routes.map(({ key }) => key)],
  };
  yield item((v) => takenLinkKey(v.link), taken);
}

/** What it takes to get the link its first lease: VPP listens there beside the kernel, which goes on as it was. */
export function* leasingItems(uplink: TakenUplink): Iterable<KeyValue> {
  const name = uplinkInterface(uplink.link);
  const value = uplinkValue(uplink, name);
  // Whoever asks has seen that the link is there.
  yield { key: interfaceKey(name), value: value.kind === "af-packet" ? { ...value, requires: [] } : value };
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires: [] });
  yield* dhcpItems(uplink);
}

function* dhcpItems({ link, mac, dhcp }: TakenUplink): Iterable<KeyValue> {
  if (!dhcp) return;
  const client: DhcpClientValue = {
    interface: uplinkInterface(link),
    hostname: dhcp.hostname,
    // Servers give one address to one client: it must outlive VPP and agent, and be no other machine's.
    clientId: `heddle-${mac}`,
    // Without an address VPP would not take an answer that is sent to the one that it is going to have.
    broadcast: true,
  };
  yield item((v) => dhcpClientKey(v.interface), client);
}

/** What VPP has to be told of a link's addresses and routes: those of a lease it puts in place itself. */
function configured({ addresses, routes, dhcp }: TakenUplink): Pick<TakenUplink, "addresses" | "routes"> {
  if (!dhcp) return { addresses, routes };
  return { addresses: addresses.filter(isIpv6), routes: routes.filter(({ dst }) => dst !== EVERYTHING_IPV4) };
}

/** What the host must know of the cluster to reach its pods. */
export type HostsCluster = Pick<LocalNodeRow, "clusterCIDRs" | "gateways" | "podCIDRs">;

/**
 * The host's own addresses, and its routes, on its way to VPP. To pods of other nodes it comes from its address inside the
 * overlay: their answers to one of the underlay would leave their node as what goes to the outside does, translated.
 */
function* hostRoutes(
  uplink: TakenUplink,
  { clusterCIDRs, gateways, podCIDRs }: HostsCluster,
  requires: readonly Key[],
) {
  const sources = new Map<boolean, string>();
  for (const cidr of uplink.addresses) {
    const address = cidr.slice(0, cidr.indexOf("/"));
    const ipv6 = isIpv6(address);
    if (!sources.has(ipv6)) sources.set(ipv6, address);
    yield hostAddress(address);
  }
  if (uplink.former !== undefined) yield hostAddress(uplink.former.slice(0, uplink.former.indexOf("/")));
  const inside = new Map(
    [...sources].map(([ipv6, source]) => [ipv6, gateways.find((gateway) => isIpv6(gateway) === ipv6) ?? source]),
  );
  const route = (dst: string, from: ReadonlyMap<boolean, string>): KeyValue[] => {
    const ipv6 = isIpv6(dst);
    const source = from.get(ipv6);
    if (source === undefined) return [];
    const value: RouteValue = {
      link: HOST_LINK,
      end: "node",
      type: "unicast",
      dst,
      gateway: ipv6 ? GATEWAY_IPV6 : GATEWAY_IPV4,
      onLink: true,
      source,
      requires,
    };
    return [item(routeKey, value)];
  };
  const plain = new Set([...uplink.routes.map(({ dst }) => dst), ...uplink.networks, ...podCIDRs]);
  for (const dst of plain) yield* route(dst, sources);
  for (const dst of clusterCIDRs) if (!plain.has(dst)) yield* route(dst, inside);
}

function hostAddress(address: string): KeyValue {
  const own: AddressValue = { link: HOST_LINK, end: "node", address, prefix: isIpv6(address) ? 128 : 32 };
  return item(addressKey, own);
}

/** The node's address inside the overlay. To other machines, also in place of pods, the host comes from its other ones. */
export function hostGateway(address: string): KeyValue {
  const inside: AddressValue = {
    link: HOST_LINK,
    end: "node",
    address,
    prefix: isIpv6(address) ? 128 : 32,
    bySource: true,
  };
  return item(addressKey, inside);
}

/**
 * The pair by which the host and VPP reach each other. The host is a neighbour of VPP as a pod is, except that it has the
 * node's addresses, which are VPP's as well: what VPP has no use for goes on to the host.
 */
export function* hostItems(uplinks: readonly TakenUplink[], netnsId: string): Iterable<KeyValue> {
  const mtu = Math.min(...uplinks.map((u) => u.mtu));
  const pair: VethValue = {
    kind: "veth",
    name: HOST_LINK,
    mac: HOST_MAC,
    mtu,
    state: "up",
    // VPP can't cut what the host sends, either.
    segments: "cut",
    pod: { netns: OWN_NETNS, netnsId, ifName: HOST_PEER, mac: KERNEL_MAC, mtu },
  };
  yield { key: linkKey(HOST_LINK), value: pair };
  yield { key: carrierKey(HOST_LINK), value: { link: HOST_LINK } satisfies CarrierValue };
  yield* sharedDevice(
    { name: HOST_INTERFACE, device: HOST_PEER, mac: GATEWAY_MAC, mtu, queues: 1, offload: true, qdisc: false },
    HOST_LINK,
  );
  const requires: Key[] = [unnumberedKey(HOST_INTERFACE)];
  yield item((v) => unnumberedKey(v.interface), { interface: HOST_INTERFACE, to: GATEWAY_INTERFACE });
  for (const family of [4, 6] as const) {
    const gateway: NeighbourValue = {
      link: HOST_LINK,
      end: "node",
      address: family === 4 ? GATEWAY_IPV4 : GATEWAY_IPV6,
      mac: GATEWAY_MAC,
    };
    yield item(neighbourKey, gateway);
    const hop = { interface: HOST_INTERFACE, address: HOST_HOP[family], mac: HOST_MAC };
    yield item(vppNeighbourKey, hop);
    requires.push(vppNeighbourKey(hop));
    const redirect: PuntRedirectValue = {
      family,
      paths: [{ interface: HOST_INTERFACE, nextHop: HOST_HOP[family] }],
    };
    yield item(puntRedirectKey, redirect);
    yield { key: puntUnknownUdpKey(family), value: { family } };
  }
  yield item((v) => interfaceUpKey(v.interface), { interface: HOST_INTERFACE, requires });
  // Ports of pods that are reached at 127.0.0.1 lead out by this link.
  const name = `net/ipv4/conf/${HOST_LINK}/route_localnet`;
  const localnet: SysctlValue = {
    name,
    value: "1",
    after: [],
    link: HOST_LINK,
    requires: [nftChainKey(LOOPBACK_GUARD)],
  };
  yield { key: sysctlKey(name), value: localnet };
}
