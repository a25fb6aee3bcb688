import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Dependency, Descriptor, OpContext, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  addressKey,
  HEDDLE_PROTOCOL,
  type LinkEnd,
  linkKey,
  OWN_TABLES,
  OWN_TABLES_MASK,
  ROUTE_PREFIX,
  type RouteValue,
  routeKey,
} from "../../../models/linux.ts";
import { type End, type Ends, FoundIn, NoLinkError, type Place } from "../namespace/ends.ts";
import type { Snapshot } from "../namespace/snapshots.ts";
import { isNotFound } from "../netlink/errors.ts";
import { NexthopFlag, type RouteMessage, RouteTable, RouteType } from "../netlink/route.ts";
import { routeAdd, routeDelete } from "../netlink/route-requests.ts";

/** IP6_RT_PRIO_USER of net/ip6_route.h: the metric of an IPv6 route that was made without one. */
const IPV6_DEFAULT_METRIC = 1024;

/** All that the kernel knows of. */
const COMPARED = ["link", "end", "type", "dst", "gateway", "onLink", "source", "table", "metric"] as const;

/** Routes of the node and of pods, known as ours by their protocol. */
export function routeDescriptor(ends: Ends): Descriptor<RouteValue, undefined> {
  const found = new FoundIn(routesIn);
  const set = async (value: RouteValue, ctx: OpContext): Promise<undefined> => {
    const { index, run } = endOf(ends, ctx, value);
    await run((netlink) => netlink.request(routeAdd(message(value, index), "replace")));
    faultPoint("l3.done");
    return undefined;
  };
  return {
    name: "linux-route",
    keyPrefixes: [ROUTE_PREFIX],
    concurrency: 256,
    // The ends of links are known from their metadata.
    retrieveAfter: ["linux-link"],
    dependencies: (_key, value) => dependencies(value),
    equivalent: (_key, a, b) => COMPARED.every((field) => a[field] === b[field]),
    describe: (_key, value) => describe(value),
    create: (_key, value, ctx) => set(value, ctx),
    update: (_key, _before, value, _metadata, ctx) => set(value, ctx),
    // The kernel tells routes of one destination apart by their metric; "replace" would leave the old one beside the new.
    updateNeedsRecreate: (_key, before, after) => before.metric !== after.metric,
    async delete(_key, value, _metadata, ctx) {
      const { index, run } = endOf(ends, ctx, value);
      try {
        await run((netlink) => netlink.request(routeDelete(message(value, index))));
      } catch (e) {
        if (!isNotFound(e)) throw e;
      }
    },
    async retrieve(correlate, ctx) {
      return (await ends.read(ctx, correlate)).flatMap((place) => found.of(place));
    },
  };
}

function routesIn({ end, link, index, snapshot }: Place): readonly Retrieved<RouteValue, undefined>[] {
  const found: Retrieved<RouteValue, undefined>[] = [];
  for (const entry of snapshot.routes) {
    // A pod may have several links.
    if (index !== undefined && entry.oif !== index) continue;
    const value = routeValue(entry, end, link, snapshot);
    if (value) found.push({ key: routeKey(value), value, metadata: undefined });
  }
  return found;
}

function dependencies(value: RouteValue): readonly Dependency[] {
  const { link, source } = value;
  if (link === undefined) return [];
  const all: Dependency[] = [{ label: "link", key: linkKey(link), carries: true }];
  if (source !== undefined) {
    const prefix = source.includes(":") ? 128 : 32;
    all.push({ label: "source address", key: addressKey({ link, end: value.end, address: source, prefix }) });
  }
  for (const key of value.requires ?? []) all.push({ label: key, key });
  return all;
}

function endOf(ends: Ends, ctx: OpContext, value: RouteValue): Omit<End, "index"> & { index: number | undefined } {
  if (value.link !== undefined) return ends.of(ctx, value.link, value.end);
  if (value.end === "pod") throw new NoLinkError("", "pod");
  ends.snapshots.changed();
  return { index: undefined, run: (work) => work(ends.namespaces.node) };
}

function message(value: RouteValue, index: number | undefined): RouteMessage {
  return {
    dst: value.dst,
    protocol: HEDDLE_PROTOCOL,
    table: value.table ?? RouteTable.MAIN,
    type: value.type === "unreachable" ? RouteType.UNREACHABLE : RouteType.UNICAST,
    ...(index === undefined ? {} : { oif: index }),
    ...(value.gateway === undefined ? {} : { gateway: value.gateway }),
    ...(value.onLink ? { flags: NexthopFlag.ONLINK } : {}),
    ...(value.source === undefined ? {} : { prefSrc: value.source }),
    ...(value.metric === undefined ? {} : { priority: value.metric }),
  };
}

function routeValue(
  entry: RouteMessage,
  end: LinkEnd,
  podLink: string | undefined,
  snapshot: Snapshot,
): RouteValue | undefined {
  const table = entry.table === RouteTable.MAIN ? undefined : entry.table;
  if (table !== undefined && (table & OWN_TABLES_MASK) >>> 0 !== OWN_TABLES) return undefined;
  const type = entry.type === undefined || entry.type === RouteType.UNICAST ? "unicast" : "unreachable";
  const link = podLink ?? (type === "unicast" && entry.oif !== undefined ? snapshot.nameOf(entry.oif) : undefined);
  const unset = entry.dst.includes(":") ? IPV6_DEFAULT_METRIC : 0;
  const metric = (entry.priority ?? 0) === unset || entry.priority === undefined ? undefined : entry.priority;
  return {
    end,
    type,
    dst: entry.dst,
    ...(link === undefined ? {} : { link }),
    ...(entry.gateway === undefined ? {} : { gateway: entry.gateway }),
    ...(((entry.flags ?? 0) & NexthopFlag.ONLINK) === 0 ? {} : { onLink: true }),
    ...(entry.prefSrc === undefined ? {} : { source: entry.prefSrc }),
    ...(table === undefined ? {} : { table }),
    ...(metric === undefined ? {} : { metric }),
  };
}

function describe(value: RouteValue): string {
  const via = value.gateway === undefined ? "" : ` via ${value.gateway}`;
  const on = value.link === undefined ? "" : ` on ${value.link}`;
  const table = value.table === undefined ? "" : ` in table ${value.table}`;
  return `${value.type === "unicast" ? "" : `${value.type} `}${value.dst}${via}${on}${table}`;
}
