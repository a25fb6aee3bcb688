import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import { AddressFamily, bytesToIp, familyOf, formatPrefix, ipToBytes, parsePrefix } from "./ip.ts";
import { NetlinkFormatError } from "./nlmsg.ts";

/** RTM_*ROUTE of linux/rtnetlink.h. */
export const RouteMsg = { NEW: 24, DEL: 25, GET: 26 } as const;

/** RTN_*: what happens to packets. */
export const RouteType = {
  UNICAST: 1,
  LOCAL: 2,
  BROADCAST: 3,
  ANYCAST: 4,
  MULTICAST: 5,
  BLACKHOLE: 6,
  UNREACHABLE: 7,
  PROHIBIT: 8,
  THROW: 9,
} as const;

/** RTPROT_*: who made the route. Numbers from 5 on are not known to the kernel; 192 and up are free for applications. */
export const RouteProtocol = { UNSPEC: 0, REDIRECT: 1, KERNEL: 2, BOOT: 3, STATIC: 4, RA: 9, DHCP: 16 } as const;

/** RT_TABLE_*. */
export const RouteTable = { UNSPEC: 0, DEFAULT: 253, MAIN: 254, LOCAL: 255 } as const;

/** RTNH_F_*. */
export const NexthopFlag = { DEAD: 1, PERVASIVE: 2, ONLINK: 4, OFFLOAD: 8, LINKDOWN: 16 } as const;

/** RTA_*. */
export const RouteAttr = {
  DST: 1,
  SRC: 2,
  IIF: 3,
  OIF: 4,
  GATEWAY: 5,
  PRIORITY: 6,
  PREFSRC: 7,
  METRICS: 8,
  MULTIPATH: 9,
  FLOW: 11,
  CACHEINFO: 12,
  TABLE: 15,
  MARK: 16,
  VIA: 18,
  PREF: 20,
  EXPIRES: 23,
  NH_ID: 30,
} as const;

/** RTAX_*. */
export const MetricAttr = {
  LOCK: 1,
  MTU: 2,
  WINDOW: 3,
  RTT: 4,
  HOPLIMIT: 10,
  ADVMSS: 8,
  INITCWND: 11,
  INITRWND: 14,
  QUICKACK: 15,
} as const;

/** One of a multipath route's ways. */
export interface Nexthop {
  /** Index of the link. */
  readonly oif?: number;
  readonly gateway?: string;
  /** Share of the traffic, 1 to 256. */
  readonly weight: number;
  /** {@link NexthopFlag}. */
  readonly flags?: number;
}

/** Route metrics, RTAX_*. */
export interface RouteMetrics {
  readonly mtu?: number;
  /** Bits by RTAX number: 1 << RTAX_MTU keeps path MTU discovery from lowering the MTU. */
  readonly lock?: number;
  readonly window?: number;
  readonly advmss?: number;
  readonly hopLimit?: number;
  readonly initCwnd?: number;
  readonly initRwnd?: number;
}

/** struct rtmsg and its attributes. Absent fields of a request have the defaults given here. */
export interface RouteMessage {
  /** `10.1.0.0/16`; the default route is `0.0.0.0/0` or `::/0`. Its family is the route's. */
  readonly dst: string;
  /** IPv6 source-specific routes. */
  readonly src?: string;
  readonly tos?: number;
  /** {@link RouteTable}: main. */
  readonly table?: number;
  /** {@link RouteProtocol}: boot. */
  readonly protocol?: number;
  /** Scope: link for IPv4 routes without gateway, host for local ones, else universe. */
  readonly scope?: number;
  /** {@link RouteType}: unicast. */
  readonly type?: number;
  /** {@link NexthopFlag}: ONLINK takes a gateway for reachable over `oif` whatever the routes say. */
  readonly flags?: number;
  /** Index of the link. */
  readonly oif?: number;
  /** The next hop; an IPv6 one for an IPv4 route too (RTA_VIA). */
  readonly gateway?: string;
  readonly prefSrc?: string;
  /** The metric; the lowest wins. IPv6 takes 1024 for 0. */
  readonly priority?: number;
  readonly metrics?: RouteMetrics;
  readonly nexthops?: readonly Nexthop[];
  /** Router preference of RFC 4191 (IPv6). */
  readonly pref?: number;
  /** Nexthop object. */
  readonly nexthopId?: number;
}

const RTM_LENGTH = 12;
const RTNH_LENGTH = 8;
const SCOPE_LINK = 253;
const SCOPE_HOST = 254;

/** The scope that `ip route` gives a route without one. */
function defaultScope(route: RouteMessage, type: number): number {
  if (familyOf(route.dst) === AddressFamily.INET6) return 0;
  if (type === RouteType.LOCAL) return SCOPE_HOST;
  if (type === RouteType.BROADCAST || type === RouteType.MULTICAST || type === RouteType.ANYCAST) return SCOPE_LINK;
  if (type === RouteType.UNICAST && route.gateway === undefined && route.nexthops === undefined) return SCOPE_LINK;
  return 0;
}

/** Encodes as `ip route` does: what is absent has its defaults. */
export function encodeRoute(route: RouteMessage): Uint8Array {
  const dst = parsePrefix(route.dst);
  const src = route.src === undefined ? undefined : parsePrefix(route.src);
  const table = route.table ?? RouteTable.MAIN;
  const type = route.type ?? RouteType.UNICAST;
  const w = new Writer();
  w.u8(familyOf(route.dst))
    .u8(dst.length)
    .u8(src?.length ?? 0)
    .u8(route.tos ?? 0);
  w.u8(table < 256 ? table : RouteTable.UNSPEC).u8(route.protocol ?? RouteProtocol.BOOT);
  w.u8(route.scope ?? defaultScope(route, type)).u8(type);
  w.u32(route.flags ?? 0);
  const a = new AttrWriter(w);
  if (dst.length > 0) a.bytes(RouteAttr.DST, dst.bytes);
  if (src !== undefined && src.length > 0) a.bytes(RouteAttr.SRC, src.bytes);
  writeGateway(a, route.dst, route.gateway);
  a.ip(RouteAttr.PREFSRC, route.prefSrc);
  if (table > 255) a.u32(RouteAttr.TABLE, table);
  a.u32(RouteAttr.PRIORITY, route.priority);
  const { metrics, nexthops } = route;
  if (metrics !== undefined) a.nest(RouteAttr.METRICS, () => writeMetrics(a, metrics));
  if (nexthops !== undefined) a.nest(RouteAttr.MULTIPATH, () => writeNexthops(a, route.dst, nexthops));
  a.u32(RouteAttr.OIF, route.oif).u8(RouteAttr.PREF, route.pref).u32(RouteAttr.NH_ID, route.nexthopId);
  return w.finish();
}

function writeGateway(a: AttrWriter, dst: string, gateway: string | undefined): void {
  if (gateway === undefined) return;
  const family = familyOf(gateway);
  if (family === familyOf(dst)) {
    a.ip(RouteAttr.GATEWAY, gateway);
    return;
  }
  // struct rtvia: the family, then the address.
  const via = new Writer(18);
  via.u16(family).bytes(ipToBytes(gateway));
  a.bytes(RouteAttr.VIA, via.finish());
}

function writeMetrics(a: AttrWriter, m: RouteMetrics): void {
  a.u32(MetricAttr.LOCK, m.lock).u32(MetricAttr.MTU, m.mtu).u32(MetricAttr.WINDOW, m.window);
  a.u32(MetricAttr.ADVMSS, m.advmss).u32(MetricAttr.HOPLIMIT, m.hopLimit);
  a.u32(MetricAttr.INITCWND, m.initCwnd).u32(MetricAttr.INITRWND, m.initRwnd);
}

function writeNexthops(a: AttrWriter, dst: string, nexthops: readonly Nexthop[]): void {
  for (const hop of nexthops) {
    if (hop.weight < 1 || hop.weight > 256) throw new RangeError(`nexthop weight ${hop.weight} is not within 1 to 256`);
    const at = a.w.length;
    a.w
      .u16(0)
      .u8(hop.flags ?? 0)
      .u8(hop.weight - 1)
      .u32(hop.oif ?? 0);
    writeGateway(a, dst, hop.gateway);
    a.w.patchU16(at, a.w.length - at);
  }
}

/** Every field is there as the kernel tells it; none has a default. */
export function decodeRoute(body: Uint8Array): RouteMessage {
  const r = new Reader(body);
  const family = r.u8();
  const dstLength = r.u8();
  const srcLength = r.u8();
  const tos = r.u8();
  const shortTable = r.u8();
  const protocol = r.u8();
  const scope = r.u8();
  const type = r.u8();
  const flags = r.u32();
  if (family !== AddressFamily.INET && family !== AddressFamily.INET6) {
    throw new NetlinkFormatError(`route of family ${family}`);
  }
  const a = new Attrs(r.rest());
  const multipath = a.bytes(RouteAttr.MULTIPATH);
  const metrics = a.nested(RouteAttr.METRICS);
  return present<RouteMessage>({
    dst: formatPrefix(family, a.ip(RouteAttr.DST), dstLength),
    src: srcLength === 0 ? undefined : formatPrefix(family, a.ip(RouteAttr.SRC), srcLength),
    tos: tos || undefined,
    table: a.u32(RouteAttr.TABLE) ?? shortTable,
    protocol,
    scope,
    type,
    flags: flags || undefined,
    oif: a.u32(RouteAttr.OIF),
    gateway: readGateway(a),
    prefSrc: a.ip(RouteAttr.PREFSRC),
    priority: a.u32(RouteAttr.PRIORITY),
    metrics: metrics && readMetrics(metrics),
    nexthops: multipath && readNexthops(multipath),
    pref: a.u8(RouteAttr.PREF),
    nexthopId: a.u32(RouteAttr.NH_ID),
  });
}

function readGateway(a: Attrs): string | undefined {
  return (
    a.ip(RouteAttr.GATEWAY) ??
    a.struct(RouteAttr.VIA, (r) => {
      r.skip(2);
      return bytesToIp(r.rest());
    })
  );
}

function readMetrics(a: Attrs): RouteMetrics {
  return present<RouteMetrics>({
    mtu: a.u32(MetricAttr.MTU),
    lock: a.u32(MetricAttr.LOCK),
    window: a.u32(MetricAttr.WINDOW),
    advmss: a.u32(MetricAttr.ADVMSS),
    hopLimit: a.u32(MetricAttr.HOPLIMIT),
    initCwnd: a.u32(MetricAttr.INITCWND),
    initRwnd: a.u32(MetricAttr.INITRWND),
  });
}

function readNexthops(bytes: Uint8Array): Nexthop[] {
  const hops: Nexthop[] = [];
  const r = new Reader(bytes);
  while (r.remaining >= RTNH_LENGTH) {
    const length = r.u16();
    const flags = r.u8();
    const weight = r.u8() + 1;
    const oif = r.i32();
    if (length < RTNH_LENGTH) throw new NetlinkFormatError(`nexthop of ${length} bytes`);
    const a = new Attrs(r.bytes(length - RTNH_LENGTH));
    r.align(4);
    hops.push(present<Nexthop>({ oif: oif || undefined, gateway: readGateway(a), weight, flags: flags || undefined }));
  }
  return hops;
}

const names = (prefix: string, attrs: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(attrs).map(([k, v]) => [`${prefix}_${k}`, v]));

/** Names for errors. The ways of a multipath route are no attributes: an error inside names RTA_MULTIPATH. */
export const ROUTE_SCHEMA = {
  skip: RTM_LENGTH,
  names: names("RTA", RouteAttr),
  nested: { [RouteAttr.METRICS]: { skip: 0, names: names("RTAX", MetricAttr) } },
};
