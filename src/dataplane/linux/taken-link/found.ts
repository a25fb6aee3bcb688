import { type FoundRoute, HEDDLE_PROTOCOL, type TakenLinkValue } from "../../../models/linux.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { AddressFlag, type AddressMessage, addressAdd, addressDelete, addressDump, Scope } from "../netlink/address.ts";
import { isNotFound } from "../netlink/errors.ts";
import { readFeatures, setFeatures } from "../netlink/features.ts";
import { linkGet } from "../netlink/link-requests.ts";
import { NexthopFlag, type RouteMessage, RouteProtocol, RouteTable, RouteType } from "../netlink/route.ts";
import { routeAdd, routeDelete, routeDump } from "../netlink/route-requests.ts";

/** What the kernel has of a link that another dataplane is going to take. */
export interface FoundLink {
  readonly index: number;
  readonly mac: string;
  readonly mtu: number;
  /** With their prefix lengths. Link-local ones are not among them: they mean nothing to others. */
  readonly addresses: readonly string[];
  /** Those that the addresses do not bring with them, in an order in which they can be made again. */
  readonly routes: readonly FoundRoute[];
  /** Whether the kernel puts what the link receives together to longer packets (generic receive offload). */
  readonly gro: boolean;
}

/** Looks in this process's own namespace, as `netlink` does. `undefined` when there is no such link. */
export async function findLink(netlink: Netlink, name: string): Promise<FoundLink | undefined> {
  const link = await netlink.request(linkGet({ name })).catch((e: unknown) => {
    if (isNotFound(e)) return undefined;
    throw e;
  });
  if (!link) return undefined;
  const [addresses, routes, gro] = await Promise.all([
    netlink.dump(addressDump()),
    netlink.dump(routeDump()),
    readFeatures(undefined, name, ["gro"]),
  ]);
  return {
    index: link.index,
    mac: link.address ?? "",
    mtu: link.mtu ?? 1500,
    addresses: addresses.filter((a) => isTakeable(a, link.index)).map((a) => a.address),
    routes: routes
      .filter((r) => isTakeableRoute(r, link.index))
      .map(foundRoute)
      // A gateway must be reachable before what goes through it: first the routes without one.
      .toSorted((a, b) => Number(a.gateway !== undefined) - Number(b.gateway !== undefined)),
    gro: gro.length > 0,
  };
}

const isTakeable = (a: AddressMessage, index: number): boolean =>
  a.index === index &&
  (a.scope ?? Scope.UNIVERSE) === Scope.UNIVERSE &&
  ((a.flags ?? 0) & (AddressFlag.TENTATIVE | AddressFlag.DADFAILED)) === 0;

/**
 * Those of one next hop in the main table, except our own, which are made anew. Who splits traffic over several links keeps
 * them from being taken.
 */
function isTakeableRoute(r: RouteMessage, index: number): boolean {
  if (r.oif !== index || (r.table ?? RouteTable.MAIN) !== RouteTable.MAIN) return false;
  if ((r.type ?? RouteType.UNICAST) !== RouteType.UNICAST || r.protocol === RouteProtocol.KERNEL) return false;
  if (r.protocol === HEDDLE_PROTOCOL) return false;
  return !r.dst.startsWith("fe80:") && !r.dst.startsWith("ff00:");
}

function foundRoute(r: RouteMessage): FoundRoute {
  return {
    dst: r.dst,
    protocol: r.protocol ?? RouteProtocol.BOOT,
    ...(r.gateway === undefined ? {} : { gateway: r.gateway }),
    ...(r.priority === undefined ? {} : { metric: r.priority }),
    ...(r.prefSrc === undefined ? {} : { source: r.prefSrc }),
    ...(r.scope === undefined ? {} : { scope: r.scope }),
    ...(((r.flags ?? 0) & NexthopFlag.ONLINK) === 0 ? {} : { onLink: true }),
  };
}

/** Takes away what {@link findLink} finds. */
export async function clearLink(netlink: Netlink, name: string, found: FoundLink): Promise<void> {
  const { index, addresses, routes, gro } = found;
  if (gro) await setFeatures(undefined, name, [["gro", false]]);
  for (const route of routes.toReversed()) await gone(() => netlink.request(routeDelete(message(route, index))));
  for (const address of addresses) await gone(() => netlink.request(addressDelete({ index, address })));
}

/** Gives it back. */
export async function fillLink(
  netlink: Netlink,
  index: number,
  { link, addresses, routes, gro }: TakenLinkValue,
): Promise<void> {
  if (gro) await setFeatures(undefined, link, [["gro", true]]);
  for (const address of addresses) {
    await netlink.request(addressAdd({ index, address, flags: AddressFlag.NODAD }, "replace"));
  }
  for (const route of routes) await netlink.request(routeAdd(message(route, index), "replace"));
}

function message(route: FoundRoute, oif: number): RouteMessage {
  const { dst, protocol, gateway, metric, source, scope, onLink } = route;
  return {
    dst,
    oif,
    protocol,
    table: RouteTable.MAIN,
    type: RouteType.UNICAST,
    ...(gateway === undefined ? {} : { gateway }),
    ...(metric === undefined ? {} : { priority: metric }),
    ...(source === undefined ? {} : { prefSrc: source }),
    ...(scope === undefined ? {} : { scope }),
    ...(onLink === true ? { flags: NexthopFlag.ONLINK } : {}),
  };
}

async function gone(remove: () => Promise<unknown>): Promise<void> {
  try {
    await remove();
  } catch (e) {
    if (!isNotFound(e)) throw e;
  }
}
