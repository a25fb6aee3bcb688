import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { AddressFamily, familyOf } from "./ip.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*NEIGH of linux/rtnetlink.h. */
export const NeighbourMsg = { NEW: 28, DEL: 29, GET: 30 } as const;

/** NUD_* of linux/neighbour.h. */
export const NeighbourState = {
  NONE: 0,
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

/** NTF_*. */
export const NeighbourFlag = {
  USE: 0x01,
  /** The device's own table, such as a VXLAN's forwarding entries. */
  SELF: 0x02,
  /** The bridge that the device is a port of. */
  MASTER: 0x04,
  PROXY: 0x08,
  EXT_LEARNED: 0x10,
  STICKY: 0x40,
  ROUTER: 0x80,
} as const;

/** NDA_*. */
const NeighbourAttr = {
  DST: 1,
  LLADDR: 2,
  CACHEINFO: 3,
  VLAN: 5,
  PORT: 6,
  VNI: 7,
  IFINDEX: 8,
  MASTER: 9,
  LINK_NETNSID: 10,
  SRC_VNI: 11,
  PROTOCOL: 12,
  NH_ID: 13,
  FLAGS_EXT: 15,
} as const;

const HEADER = 12;
const SCHEMA: AttrSchema = {
  skip: HEADER,
  names: Object.fromEntries(Object.entries(NeighbourAttr).map(([k, v]) => [`NDA_${k}`, v])),
};

/** struct ndmsg and its attributes: a neighbour (family IPv4 or IPv6), or a forwarding entry (family bridge). */
export interface NeighbourMessage {
  /** {@link AddressFamily}; that of `dst` where absent. */
  readonly family?: number;
  /** Index of the link. */
  readonly index: number;
  /** {@link NeighbourState}. */
  readonly state?: number;
  /** {@link NeighbourFlag}. */
  readonly flags?: number;
  /** RTN_*; 0 in requests. */
  readonly type?: number;
  /** The neighbour's address, or the remote tunnel end of a forwarding entry. */
  readonly dst?: string;
  /** Link-layer address. */
  readonly address?: string;
  readonly vlan?: number;
  /** UDP port of the remote tunnel end, where it is not the VXLAN's own. */
  readonly port?: number;
  readonly vni?: number;
  /** Link that a forwarding entry's tunnel packets leave by. */
  readonly via?: number;
  /** Bridge that the link is a port of. */
  readonly master?: number;
  /** Who made the entry, as with routes. */
  readonly protocol?: number;
  readonly nexthopId?: number;
  readonly extFlags?: number;
}

/** An entry as the kernel reports it. */
export type Neighbour = NeighbourMessage & {
  readonly family: number;
  readonly state: number;
  readonly flags: number;
};

export function encodeNeighbour(n: NeighbourMessage): Uint8Array {
  const w = new Writer();
  w.u8(n.family ?? (n.dst === undefined ? AddressFamily.UNSPEC : familyOf(n.dst))).zeros(3);
  w.i32(n.index)
    .u16(n.state ?? 0)
    .u8(n.flags ?? 0)
    .u8(n.type ?? 0);
  const a = new AttrWriter(w);
  a.ip(NeighbourAttr.DST, n.dst).mac(NeighbourAttr.LLADDR, n.address).u16(NeighbourAttr.VLAN, n.vlan);
  a.u16be(NeighbourAttr.PORT, n.port).u32(NeighbourAttr.VNI, n.vni).u32(NeighbourAttr.IFINDEX, n.via);
  a.u32(NeighbourAttr.MASTER, n.master).u8(NeighbourAttr.PROTOCOL, n.protocol);
  a.u32(NeighbourAttr.NH_ID, n.nexthopId).u32(NeighbourAttr.FLAGS_EXT, n.extFlags);
  return w.finish();
}

export function decodeNeighbour(body: Uint8Array): Neighbour {
  const r = new Reader(body);
  const family = r.u8();
  r.skip(3);
  const index = r.i32();
  const state = r.u16();
  const flags = r.u8();
  const type = r.u8();
  const a = new Attrs(r.rest());
  return present<Neighbour>({
    family,
    index,
    state,
    flags,
    type: type || undefined,
    dst: a.ip(NeighbourAttr.DST),
    address: a.mac(NeighbourAttr.LLADDR),
    vlan: a.u16(NeighbourAttr.VLAN),
    port: a.u16be(NeighbourAttr.PORT),
    vni: a.u32(NeighbourAttr.VNI),
    via: a.u32(NeighbourAttr.IFINDEX),
    master: a.u32(NeighbourAttr.MASTER),
    protocol: a.u8(NeighbourAttr.PROTOCOL),
    nexthopId: a.u32(NeighbourAttr.NH_ID),
    extFlags: a.u32(NeighbourAttr.FLAGS_EXT),
  });
}

function change(
  type: number,
  flags: number,
  verb: string,
  what: "neighbour" | "proxy neighbour" | "forwarding entry",
  n: NeighbourMessage,
): NetlinkRequest {
  const to = [n.dst, n.address]
    .filter((part) => part !== undefined)
    .join(what === "forwarding entry" ? " for " : " at ");
  return {
    type,
    flags,
    body: encodeNeighbour(n),
    words: `${verb} ${what} ${to} on link ${n.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** A neighbour whose link-layer address is known, so that nobody has to ask for it. */
export interface StaticNeighbour {
  readonly index: number;
  readonly dst: string;
  readonly address: string;
  readonly protocol?: number;
}

/** Sets a permanent neighbour, whatever was known of it; `create` fails with EEXIST where anything was. */
export function neighbourAdd(n: StaticNeighbour, mode: "create" | "replace" = "replace"): NetlinkRequest {
  const flags = mode === "create" ? ModifyFlags.CREATE : ModifyFlags.REPLACE;
  const entry = { ...n, state: NeighbourState.PERMANENT };
  return change(NeighbourMsg.NEW, flags, mode === "create" ? "add" : "set", "neighbour", entry);
}

/** Deletes a neighbour; ENOENT where there is none. */
export function neighbourDelete(n: { readonly index: number; readonly dst: string }): NetlinkRequest {
  return change(NeighbourMsg.DEL, ModifyFlags.CHANGE, "delete", "neighbour", n);
}

/** Makes the link answer for `dst` (proxy ARP or proxy neighbour discovery). */
export function proxyNeighbourAdd(n: { readonly index: number; readonly dst: string }): NetlinkRequest {
  const entry = { ...n, state: NeighbourState.PERMANENT, flags: NeighbourFlag.PROXY };
  return change(NeighbourMsg.NEW, ModifyFlags.REPLACE, "set", "proxy neighbour", entry);
}

export function proxyNeighbourDelete(n: { readonly index: number; readonly dst: string }): NetlinkRequest {
  const entry = { ...n, flags: NeighbourFlag.PROXY };
  return change(NeighbourMsg.DEL, ModifyFlags.CHANGE, "delete", "proxy neighbour", entry);
}

/** A static entry of a VXLAN's or bridge's forwarding table. */
export interface ForwardingEntry {
  readonly index: number;
  /** The inner destination; all zeros stands for what no other entry has (VXLAN). */
  readonly address: string;
  /** The remote tunnel end (VXLAN). */
  readonly dst?: string;
  readonly port?: number;
  readonly vni?: number;
  readonly via?: number;
  readonly vlan?: number;
  /** `self`: the link's own table, which is the VXLAN's; `master`: that of the bridge it is a port of. */
  readonly owner?: "self" | "master";
}

function forwarding(entry: ForwardingEntry): NeighbourMessage {
  const { owner, ...rest } = entry;
  const flags = owner === "master" ? NeighbourFlag.MASTER : NeighbourFlag.SELF;
  // bridge(8) sends static entries of a VXLAN as NOARP | PERMANENT, "permanent".
  return { ...rest, family: AddressFamily.BRIDGE, state: NeighbourState.NOARP | NeighbourState.PERMANENT, flags };
}

/**
 * Sets a forwarding entry. `append` adds one more remote end for the same address (VXLAN: copies to each).
 */
export function fdbAdd(entry: ForwardingEntry, mode: "create" | "replace" | "append" = "replace"): NetlinkRequest {
  const flags = { create: ModifyFlags.CREATE, replace: ModifyFlags.REPLACE, append: ModifyFlags.APPEND }[mode];
  const verb = { create: "add", replace: "set", append: "append" }[mode];
  return change(NeighbourMsg.NEW, flags, verb, "forwarding entry", forwarding(entry));
}

/** Deletes a forwarding entry; ENOENT where there is none. */
export function fdbDelete(entry: ForwardingEntry): NetlinkRequest {
  return change(NeighbourMsg.DEL, ModifyFlags.CHANGE, "delete", "forwarding entry", forwarding(entry));
}

interface NeighbourFilter {
  readonly index?: number;
  readonly family?: number;
  /** The proxy entries instead. */
  readonly proxy?: boolean;
  /** Those alone that somebody has set for good. */
  readonly permanent?: true;
}

/** Offset of ndm_state in struct ndmsg. */
const STATE_AT = 8;

const isPermanent = (body: Uint8Array): boolean => ((body[STATE_AT] ?? 0) & NeighbourState.PERMANENT) !== 0;

/** All neighbours, or those of one link or family; the kernel does the choosing, but for the permanent ones. */
export function neighbourDump(filter: NeighbourFilter = {}): NetlinkDump<Neighbour> {
  const w = new Writer();
  w.u8(filter.family ?? 0).zeros(3);
  w.i32(0)
    .u16(0)
    .u8(filter.proxy ? NeighbourFlag.PROXY : 0)
    .u8(0);
  new AttrWriter(w).u32(NeighbourAttr.IFINDEX, filter.index);
  return {
    type: NeighbourMsg.GET,
    body: w.finish(),
    words: filter.index === undefined ? "read all neighbours" : `read the neighbours of link ${filter.index}`,
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== NeighbourMsg.NEW) return undefined;
      if (filter.permanent && !isPermanent(m.body)) return undefined;
      const n = decodeNeighbour(m.body);
      if (filter.index !== undefined && n.index !== filter.index) return undefined;
      return n;
    },
  };
}

/** All forwarding entries, or those of one link. */
export function fdbDump(filter: { readonly index?: number } = {}): NetlinkDump<Neighbour> {
  const w = new Writer();
  // With strict checking the index in the header is that of the device whose entries are wanted.
  w.u8(AddressFamily.BRIDGE)
    .zeros(3)
    .i32(filter.index ?? 0)
    .zeros(4);
  return {
    type: NeighbourMsg.GET,
    body: w.finish(),
    words:
      filter.index === undefined
        ? "read all forwarding entries"
        : `read the forwarding entries of link ${filter.index}`,
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== NeighbourMsg.NEW || m.body[0] !== AddressFamily.BRIDGE) return undefined;
      const n = decodeNeighbour(m.body);
      return filter.index === undefined || n.index === filter.index ? n : undefined;
    },
  };
}
