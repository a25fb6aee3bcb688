import { parseIp } from "../../../base/ip/address.ts";
import { type Cidr, cidrContains, formatCidr, networkOf, parseCidr } from "../../../base/ip/cidr.ts";
import type { FoundRoute, TakenLinkValue } from "../../../models/linux.ts";
import { RouteProtocol } from "../../linux/netlink/route.ts";
import { isIpv6 } from "../item.ts";
import type { DhcpLease } from "./leases.ts";

const EVERYTHING = "0.0.0.0/0";

/**
 * A link with a lease in the place of its IPv4 addresses and default route, and of what another DHCP client had put there.
 * Other routes stay as far as their next hops can still be reached. IPv6 is as it was.
 */
export function withLease(link: TakenLinkValue, lease: Pick<DhcpLease, "address" | "router">): TakenLinkValue {
  const network = networkOf(parseCidr(lease.address));
  const { router } = lease;
  const leased: FoundRoute[] = router === undefined ? [] : [toRouter(router, network)];
  return {
    ...link,
    addresses: [lease.address, ...link.addresses.filter(isIpv6)],
    routes: [...link.routes.flatMap((route) => (isIpv6(route.dst) ? route : kept(route, network))), ...leased],
    dhcp: true,
  };
}

/** The lease that a link is known to have had last; undefined for a link that has its addresses from elsewhere. */
export function leaseOf({
  dhcp,
  addresses,
  routes,
}: TakenLinkValue): Pick<DhcpLease, "address" | "router"> | undefined {
  const address = addresses.find((cidr) => !isIpv6(cidr));
  if (dhcp !== true || address === undefined) return undefined;
  const router = routes.find(({ dst }) => dst === EVERYTHING)?.gateway;
  return { address, ...(router === undefined ? {} : { router }) };
}

/** Whether the node has another place on its network by the one than by the other. */
export const isElsewhere = (
  a: Pick<DhcpLease, "address" | "router"> | undefined,
  b: Pick<DhcpLease, "address" | "router">,
): boolean => a?.address !== b.address || a.router !== b.router;

/** What the kernel is lent while VPP does not forward for the host yet. */
export function leaseAlone(link: TakenLinkValue): TakenLinkValue {
  const { addresses, routes } = link;
  return {
    link: link.link,
    addresses: addresses.filter((cidr) => !isIpv6(cidr)),
    routes: routes.filter(({ dst }) => dst === EVERYTHING),
    gro: false,
    requires: [],
  };
}

/** A server may name a router of another network, as those of clouds with /32 addresses do. */
const toRouter = (gateway: string, network: Cidr): FoundRoute => ({
  dst: EVERYTHING,
  gateway,
  protocol: RouteProtocol.DHCP,
  ...(cidrContains(network, parseIp(gateway)) ? {} : { onLink: true }),
});

function kept(route: FoundRoute, network: Cidr): readonly FoundRoute[] {
  const { source: _of, ...rest } = route;
  if (route.dst === EVERYTHING || route.protocol === RouteProtocol.DHCP) return [];
  // A route without next hop is that of the network which an address brought with it.
  if (route.gateway === undefined || !cidrContains(network, parseIp(route.gateway))) return [];
  return route.dst === formatCidr(network) ? [] : [rest];
}
