import { HeddleError } from "../../../base/errors/errors.ts";
import { familyOf, type IpAddress, isSpecialIp, parseIp } from "../../../base/ip/address.ts";
import { HOST_LINK, isPodLink, VXLAN_LINK } from "../../../models/linux.ts";
import type { Uplink } from "../../../nodes/api.ts";
import type { Underlay } from "../../api.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { AddressFlag, type AddressMessage, addressDump, Scope } from "../netlink/address.ts";
import type { Link } from "../netlink/link.ts";
import { linkDump } from "../netlink/link-requests.ts";
import { type RouteMessage, RouteProtocol, RouteTable, RouteType } from "../netlink/route.ts";
import { routeDump } from "../netlink/route-requests.ts";

/** The node's place on the underlay cannot be found. Set `network.nodeIPs`. */
export class UnderlayError extends HeddleError<"NO_UNDERLAY"> {}

/**
 * Finds where the node meets the network between nodes: the links that hold `nodeIPs`, or, where none are given, those that
 * the default routes leave by and their first global addresses.
 */
export async function findUnderlay(netlink: Netlink, nodeIPs: readonly IpAddress[] | undefined): Promise<Underlay> {
  const [links, addresses, routes] = await Promise.all([
    netlink.dump(linkDump()),
    netlink.dump(addressDump()),
    netlink.dump(routeDump()),
  ]);
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const uplinks = nodeIPs
    ? nodeIPs.map((ip) => given(ip, byIndex, addresses))
    : ([4, 6] as const).flatMap((family) => found(family, byIndex, addresses, routes) ?? []);
  if (uplinks.length === 0) {
    throw new UnderlayError(
      "NO_UNDERLAY",
      "no default route leads to a link with a global address; set network.nodeIPs",
    );
  }
  const raLinks = new Set<string>();
  for (const route of routes) {
    const link = byIndex.get(route.oif ?? 0);
    if (route.protocol === RouteProtocol.RA && link) raLinks.add(link.name);
  }
  return {
    uplinks: uplinks.toSorted((a, b) => familyOf(a.address) - familyOf(b.address)),
    raLinks: [...raLinks].sort(),
  };
}

function given(ip: IpAddress, links: ReadonlyMap<number, Link>, addresses: readonly AddressMessage[]): Uplink {
  // The host's way to another dataplane has the addresses of the links that were taken for it.
  const holder = addresses.find((a) => plain(a) === ip && links.get(a.index)?.name !== HOST_LINK);
  const link = holder && links.get(holder.index);
  if (link) return { link: link.name, address: ip, mtu: link.mtu ?? 1500 };
  throw new UnderlayError("NO_UNDERLAY", `network.nodeIPs: no link of this node has the address ${ip}`);
}

function found(
  family: 4 | 6,
  links: ReadonlyMap<number, Link>,
  addresses: readonly AddressMessage[],
  routes: readonly RouteMessage[],
): Uplink | undefined {
  const defaults = routes
    // Other tables are for those that rules send there.
    .filter((r) => (r.table ?? RouteTable.MAIN) === RouteTable.MAIN)
    .filter((r) => (r.type ?? RouteType.UNICAST) === RouteType.UNICAST)
    .filter((r) => r.dst === (family === 4 ? "0.0.0.0/0" : "::/0"))
    .toSorted((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  for (const route of defaults) {
    const link = links.get(route.oif ?? route.nexthops?.[0]?.oif ?? 0);
    if (!link || isPodLink(link.name) || link.name === VXLAN_LINK || link.name === HOST_LINK) continue;
    const address = addresses.find((a) => a.index === link.index && usable(a, family));
    if (address) return { link: link.name, address: plain(address), mtu: link.mtu ?? 1500 };
  }
  return undefined;
}

/** Stable global addresses: not those that privacy extensions rotate (secondary), nor those still being tested. */
function usable(a: AddressMessage, family: 4 | 6): boolean {
  const ip = plain(a);
  if (familyOf(ip) !== family || isSpecialIp(ip) || (a.scope ?? Scope.UNIVERSE) !== Scope.UNIVERSE) return false;
  const unwanted = AddressFlag.TENTATIVE | AddressFlag.DADFAILED | AddressFlag.DEPRECATED;
  const rotating = family === 6 ? AddressFlag.SECONDARY : 0;
  return ((a.flags ?? 0) & (unwanted | rotating)) === 0;
}

const plain = (a: AddressMessage): IpAddress => parseIp(a.address.split("/")[0] ?? "");
