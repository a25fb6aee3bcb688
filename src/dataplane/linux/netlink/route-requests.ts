import { Writer } from "../../../base/bytes/writer.ts";
import { AttrWriter } from "./attr.ts";
import { AddressFamily, familyOf, ipToBytes } from "./ip.ts";
import { NlmFlag } from "./nlmsg.ts";
import { ModifyFlags, type ModifyMode, modeFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";
import {
  decodeRoute,
  encodeRoute,
  NexthopFlag,
  ROUTE_SCHEMA,
  RouteAttr,
  type RouteMessage,
  RouteMsg,
  RouteTable,
  RouteType,
} from "./route.ts";

/**
 * Adds a route. `create` fails with EEXIST where one with the same destination, TOS, metric and table is there (for
 * IPv6: with the same next hop as well); `replace` puts it in that one's place; `append` adds one beside it.
 */
export function routeAdd(route: RouteMessage, mode: Exclude<ModifyMode, "change"> = "create"): NetlinkRequest {
  const verb = { create: "add", replace: "set", append: "append" }[mode];
  return {
    type: RouteMsg.NEW,
    flags: modeFlags(mode),
    body: encodeRoute(route),
    words: `${verb} ${describeRoute(route)}`,
    schema: ROUTE_SCHEMA,
    decode: noAnswer,
  };
}

/** Deletes a route, ESRCH where there is none. What is absent in `route` matches anything, so be as exact as possible. */
export function routeDelete(route: RouteMessage): NetlinkRequest {
  // RT_SCOPE_NOWHERE and type and protocol 0 match any (fib_table_delete in net/ipv4/fib_trie.c).
  const wanted = { ...route, scope: route.scope ?? 255, type: route.type ?? 0, protocol: route.protocol ?? 0 };
  return {
    type: RouteMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeRoute(wanted),
    words: `delete ${describeRoute(route)}`,
    schema: ROUTE_SCHEMA,
    decode: noAnswer,
  };
}

/** The route that a packet to `destination` would take; ENETUNREACH or EHOSTUNREACH where there is none. */
export function routeLookup(
  destination: string,
  from: { readonly source?: string; readonly oif?: number; readonly iif?: number; readonly mark?: number } = {},
): NetlinkRequest<RouteMessage | undefined> {
  const bytes = ipToBytes(destination);
  const bits = bytes.length * 8;
  const w = new Writer();
  w.u8(familyOf(destination)).u8(bits);
  w.u8(from.source === undefined ? 0 : bits).zeros(9);
  const a = new AttrWriter(w);
  a.bytes(RouteAttr.DST, bytes).ip(RouteAttr.SRC, from.source);
  a.u32(RouteAttr.OIF, from.oif).u32(RouteAttr.IIF, from.iif).u32(RouteAttr.MARK, from.mark);
  return {
    type: RouteMsg.GET,
    flags: NlmFlag.REQUEST | NlmFlag.ACK,
    body: w.finish(),
    words: `look up the route to ${destination}`,
    schema: ROUTE_SCHEMA,
    decode: (answers) => {
      const found = answers.find((m) => m.type === RouteMsg.NEW);
      return found && decodeRoute(found.body);
    },
  };
}

/** What a dump of routes is limited to; the kernel does the choosing. */
export interface RouteFilter {
  readonly family?: number;
  readonly table?: number;
  readonly oif?: number;
  readonly protocol?: number;
  readonly type?: number;
}

/** All routes that the filter lets through. The kernel's IPv6 cache entries are never among them. */
export function routeDump(filter: RouteFilter = {}): NetlinkDump<RouteMessage> {
  const table = filter.table ?? 0;
  const w = new Writer();
  w.u8(filter.family ?? AddressFamily.UNSPEC).zeros(3);
  w.u8(table < 256 ? table : 0)
    .u8(filter.protocol ?? 0)
    .u8(0)
    .u8(filter.type ?? 0)
    .u32(0);
  const a = new AttrWriter(w);
  if (table > 255) a.u32(RouteAttr.TABLE, table);
  a.u32(RouteAttr.OIF, filter.oif);
  return {
    type: RouteMsg.GET,
    body: w.finish(),
    words: `read the routes${table === 0 ? "" : ` of table ${table}`}${filter.oif === undefined ? "" : ` over link ${filter.oif}`}`,
    schema: ROUTE_SCHEMA,
    decode: (m) => {
      if (m.type !== RouteMsg.NEW) return undefined;
      // Other families (multicast routing) come along when none is asked for.
      if (m.body[0] !== AddressFamily.INET && m.body[0] !== AddressFamily.INET6) return undefined;
      const route = decodeRoute(m.body);
      return matches(route, filter) ? route : undefined;
    },
  };
}

/** The kernel applies a filter per family only where that family supports it, so it is applied once more. */
function matches(route: RouteMessage, filter: RouteFilter): boolean {
  return (
    (filter.table === undefined || route.table === filter.table) &&
    (filter.protocol === undefined || route.protocol === filter.protocol) &&
    (filter.type === undefined || route.type === filter.type) &&
    (filter.oif === undefined ||
      route.oif === filter.oif ||
      (route.nexthops?.some((hop) => hop.oif === filter.oif) ?? false))
  );
}

const TYPE_WORDS = new Map<number, string>(Object.entries(RouteType).map(([name, n]) => [n, name.toLowerCase()]));

/** `route 10.1.0.0/16 via 10.0.0.2 on link 4 in table 100`. */
function describeRoute(route: RouteMessage): string {
  const type = route.type === undefined || route.type === RouteType.UNICAST ? "" : `${TYPE_WORDS.get(route.type)} `;
  const parts = [`${type}route ${route.dst}`];
  if (route.gateway !== undefined) parts.push(`via ${route.gateway}`);
  if (route.oif !== undefined) parts.push(`on link ${route.oif}`);
  if (((route.flags ?? 0) & NexthopFlag.ONLINK) !== 0) parts.push("onlink");
  for (const hop of route.nexthops ?? []) parts.push(`over ${hop.gateway ?? `link ${hop.oif}`} (weight ${hop.weight})`);
  if (route.priority !== undefined) parts.push(`metric ${route.priority}`);
  if (route.table !== undefined && route.table !== RouteTable.MAIN) parts.push(`in table ${route.table}`);
  return parts.join(" ");
}
