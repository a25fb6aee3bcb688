import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, decodeString, NLA_F_NESTED, present, splitAttrs } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import {
  type BridgeData,
  KIND_SCHEMAS,
  readBridge,
  readTun,
  readVxlan,
  type TunData,
  type VxlanData,
  writeBridge,
  writeTun,
  writeVxlan,
} from "./link-kinds.ts";
import { NetlinkFormatError } from "./nlmsg.ts";

/** RTM_*LINK of linux/rtnetlink.h. */
export const LinkMsg = { NEW: 16, DEL: 17, GET: 18, SET: 19 } as const;

/** IFF_* of linux/if.h. */
export const LinkFlag = {
  UP: 0x1,
  BROADCAST: 0x2,
  LOOPBACK: 0x8,
  POINTOPOINT: 0x10,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  ALLMULTI: 0x200,
  MULTICAST: 0x1000,
  LOWER_UP: 0x10000,
} as const;

/** IF_OPER_* of linux/if.h (RFC 2863). */
export const OperState = {
  UNKNOWN: 0,
  NOTPRESENT: 1,
  DOWN: 2,
  LOWERLAYERDOWN: 3,
  TESTING: 4,
  DORMANT: 5,
  UP: 6,
} as const;

/** IN6_ADDR_GEN_MODE_*: whether the kernel gives the link an IPv6 link-local address, and which. */
export const AddrGenMode = { EUI64: 0, NONE: 1, STABLE_PRIVACY: 2, RANDOM: 3 } as const;
export type AddrGenMode = (typeof AddrGenMode)[keyof typeof AddrGenMode];

/** IFLA_* of linux/if_link.h. */
export const LinkAttr = {
  ADDRESS: 1,
  BROADCAST: 2,
  IFNAME: 3,
  MTU: 4,
  LINK: 5,
  MASTER: 10,
  TXQLEN: 13,
  OPERSTATE: 16,
  LINKMODE: 17,
  LINKINFO: 18,
  NET_NS_PID: 19,
  IFALIAS: 20,
  AF_SPEC: 26,
  GROUP: 27,
  NET_NS_FD: 28,
  EXT_MASK: 29,
  PROMISCUITY: 30,
  NUM_TX_QUEUES: 31,
  NUM_RX_QUEUES: 32,
  CARRIER: 33,
  LINK_NETNSID: 37,
  GSO_MAX_SEGS: 40,
  GSO_MAX_SIZE: 41,
  TARGET_NETNSID: 46,
  NEW_IFINDEX: 49,
  PROP_LIST: 52,
  ALT_IFNAME: 53,
  GRO_MAX_SIZE: 58,
} as const;

const InfoAttr = { KIND: 1, DATA: 2 } as const;
const VETH_INFO_PEER = 1;
const AF_INET6 = 10;
const INET6_ADDR_GEN_MODE = 8;
const IFNAME_MAX = 15;

/** What a link is, with the options of its kind. Kinds that this codec does not look into have `kind: "other"`. */
export type LinkInfo =
  | { readonly kind: "veth"; readonly peer?: LinkMessage }
  | { readonly kind: "vxlan"; readonly vxlan?: VxlanData }
  | { readonly kind: "bridge"; readonly bridge?: BridgeData }
  | { readonly kind: "tun"; readonly tun?: TunData }
  | { readonly kind: "dummy" }
  | { readonly kind: "ifb" }
  | { readonly kind: "other"; readonly name: string };

/** struct ifinfomsg and its attributes; in requests only what is to be set, in answers what the kernel tells. */
export interface LinkMessage {
  readonly family?: number;
  /** ARPHRD_*: 1 for Ethernet. */
  readonly type?: number;
  readonly index?: number;
  /** {@link LinkFlag}; in requests only bits that are in `change` count. */
  readonly flags?: number;
  readonly change?: number;
  readonly name?: string;
  /** Link-layer address, `02:00:00:00:00:01`. */
  readonly address?: string;
  readonly broadcast?: string;
  readonly mtu?: number;
  readonly txQueueLen?: number;
  readonly operState?: number;
  /** Index of the bridge or other device that this link is enslaved to; 0 releases it. */
  readonly master?: number;
  /** Index of the link below or of the veth's peer; in another namespace where `linkNetnsId` is there. */
  readonly link?: number;
  readonly linkNetnsId?: number;
  /** A number by which many links can be deleted at once; 0 is the default. */
  readonly group?: number;
  readonly alias?: string;
  readonly promiscuity?: number;
  readonly carrier?: boolean;
  readonly txQueues?: number;
  readonly rxQueues?: number;
  readonly gsoMaxSize?: number;
  readonly gsoMaxSegs?: number;
  readonly groMaxSize?: number;
  readonly altNames?: readonly string[];
  readonly addrGenMode?: AddrGenMode;
  /** Requests: the namespace to create the link in or move it to, by open descriptor, or by a process in it. */
  readonly netnsFd?: number;
  readonly netnsPid?: number;
  /** The namespace that the request is about, by its id as seen from the socket's. */
  readonly targetNetnsId?: number;
  /** Index after a move into another namespace. */
  readonly newIndex?: number;
  readonly info?: LinkInfo;
}

/** A link as the kernel reports it. */
export type Link = LinkMessage & { readonly index: number; readonly name: string; readonly flags: number };

/** Throws a RangeError unless the kernel takes `name` for an interface (dev_valid_name in net/core/dev.c). */
export function checkLinkName(name: string): void {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > IFNAME_MAX || name === "." || name === ".." || /[\s/:\0]/.test(name)) {
    throw new RangeError(`not an interface name: ${JSON.stringify(name)}`);
  }
}

export function encodeLink(link: LinkMessage): Uint8Array {
  const w = new Writer();
  writeLink(new AttrWriter(w), link);
  return w.finish();
}

function writeLink(a: AttrWriter, link: LinkMessage): void {
  a.w
    .u8(link.family ?? 0)
    .u8(0)
    .u16(link.type ?? 0);
  a.w
    .i32(link.index ?? 0)
    .u32(link.flags ?? 0)
    .u32(link.change ?? 0);
  if (link.name !== undefined) checkLinkName(link.name);
  a.string(LinkAttr.IFNAME, link.name);
  a.mac(LinkAttr.ADDRESS, link.address).mac(LinkAttr.BROADCAST, link.broadcast);
  a.u32(LinkAttr.MTU, link.mtu).u32(LinkAttr.TXQLEN, link.txQueueLen).u8(LinkAttr.OPERSTATE, link.operState);
  a.u32(LinkAttr.MASTER, link.master).u32(LinkAttr.LINK, link.link).i32(LinkAttr.LINK_NETNSID, link.linkNetnsId);
  a.u32(LinkAttr.GROUP, link.group).string(LinkAttr.IFALIAS, link.alias);
  a.u32(LinkAttr.PROMISCUITY, link.promiscuity).bool(LinkAttr.CARRIER, link.carrier);
  a.u32(LinkAttr.NUM_TX_QUEUES, link.txQueues).u32(LinkAttr.NUM_RX_QUEUES, link.rxQueues);
  a.u32(LinkAttr.GSO_MAX_SIZE, link.gsoMaxSize).u32(LinkAttr.GSO_MAX_SEGS, link.gsoMaxSegs);
  a.u32(LinkAttr.GRO_MAX_SIZE, link.groMaxSize);
  a.u32(LinkAttr.NET_NS_FD, link.netnsFd).u32(LinkAttr.NET_NS_PID, link.netnsPid);
  a.i32(LinkAttr.TARGET_NETNSID, link.targetNetnsId).i32(LinkAttr.NEW_IFINDEX, link.newIndex);
  const { altNames, addrGenMode, info } = link;
  if (altNames !== undefined && altNames.length > 0) {
    a.nest(LinkAttr.PROP_LIST | NLA_F_NESTED, () => {
      for (const name of altNames) a.string(LinkAttr.ALT_IFNAME, name);
    });
  }
  if (addrGenMode !== undefined) {
    a.nest(LinkAttr.AF_SPEC, () => a.nest(AF_INET6, () => a.u8(INET6_ADDR_GEN_MODE, addrGenMode)));
  }
  if (info !== undefined) a.nest(LinkAttr.LINKINFO, () => writeInfo(a, info));
}

function writeInfo(a: AttrWriter, info: LinkInfo): void {
  a.text(InfoAttr.KIND, info.kind === "other" ? info.name : info.kind);
  switch (info.kind) {
    case "veth": {
      const { peer } = info;
      if (peer !== undefined) a.nest(InfoAttr.DATA, () => a.nest(VETH_INFO_PEER, () => writeLink(a, peer)));
      return;
    }
    case "vxlan": {
      const { vxlan } = info;
      if (vxlan !== undefined) a.nest(InfoAttr.DATA, () => writeVxlan(a, vxlan));
      return;
    }
    case "bridge": {
      const { bridge } = info;
      if (bridge !== undefined) a.nest(InfoAttr.DATA, () => writeBridge(a, bridge));
      return;
    }
    case "tun": {
      const { tun } = info;
      if (tun !== undefined) a.nest(InfoAttr.DATA, () => writeTun(a, tun));
      return;
    }
    case "dummy":
    case "ifb":
    case "other":
      return;
  }
}

/** A message of any form, also a request's. */
export function decodeLinkMessage(body: Uint8Array): LinkMessage {
  return readLink(body, 1);
}

/** A link as the kernel reports it: index and name are there. */
export function decodeLink(body: Uint8Array): Link {
  const { index, name, flags, ...rest } = decodeLinkMessage(body);
  if (index === undefined || name === undefined) throw new NetlinkFormatError("a link without index or name");
  return { ...rest, index, name, flags: flags ?? 0 };
}

/** `peers` bounds the nesting: a veth's peer has no peer of its own in a message. */
function readLink(body: Uint8Array, peers: number): LinkMessage {
  const r = new Reader(body);
  const family = r.u8();
  r.skip(1);
  const type = r.u16();
  const index = r.i32();
  const flags = r.u32();
  const change = r.u32();
  const a = new Attrs(r.rest());
  const info = a.nested(LinkAttr.LINKINFO);
  const genMode = a.nested(LinkAttr.AF_SPEC)?.nested(AF_INET6)?.u8(INET6_ADDR_GEN_MODE);
  const props = a.bytes(LinkAttr.PROP_LIST);
  const carrier = a.u8(LinkAttr.CARRIER);
  return present<LinkMessage>({
    family: family || undefined,
    type: type || undefined,
    index: index || undefined,
    flags: flags || undefined,
    change: change || undefined,
    name: a.string(LinkAttr.IFNAME),
    address: a.mac(LinkAttr.ADDRESS),
    broadcast: a.mac(LinkAttr.BROADCAST),
    mtu: a.u32(LinkAttr.MTU),
    txQueueLen: a.u32(LinkAttr.TXQLEN),
    operState: a.u8(LinkAttr.OPERSTATE),
    master: a.u32(LinkAttr.MASTER),
    link: a.u32(LinkAttr.LINK),
    linkNetnsId: a.i32(LinkAttr.LINK_NETNSID),
    group: a.u32(LinkAttr.GROUP),
    alias: a.string(LinkAttr.IFALIAS),
    promiscuity: a.u32(LinkAttr.PROMISCUITY),
    carrier: carrier === undefined ? undefined : carrier !== 0,
    txQueues: a.u32(LinkAttr.NUM_TX_QUEUES),
    rxQueues: a.u32(LinkAttr.NUM_RX_QUEUES),
    gsoMaxSize: a.u32(LinkAttr.GSO_MAX_SIZE),
    gsoMaxSegs: a.u32(LinkAttr.GSO_MAX_SEGS),
    groMaxSize: a.u32(LinkAttr.GRO_MAX_SIZE),
    altNames:
      props &&
      splitAttrs(props)
        .filter((p) => p.type === LinkAttr.ALT_IFNAME)
        .map((p) => decodeString(p.data)),
    addrGenMode: genMode as AddrGenMode | undefined,
    netnsFd: a.u32(LinkAttr.NET_NS_FD),
    netnsPid: a.u32(LinkAttr.NET_NS_PID),
    targetNetnsId: a.i32(LinkAttr.TARGET_NETNSID),
    newIndex: a.i32(LinkAttr.NEW_IFINDEX),
    info: info && readInfo(info, peers),
  });
}

function readInfo(a: Attrs, peers: number): LinkInfo | undefined {
  const kind = a.string(InfoAttr.KIND);
  switch (kind) {
    case undefined:
      return undefined;
    case "veth": {
      const peer = peers > 0 ? a.nested(InfoAttr.DATA)?.bytes(VETH_INFO_PEER) : undefined;
      return peer === undefined ? { kind } : { kind, peer: readLink(peer, peers - 1) };
    }
    case "vxlan": {
      const data = a.nested(InfoAttr.DATA);
      return data === undefined ? { kind } : { kind, vxlan: readVxlan(data) };
    }
    case "bridge": {
      const data = a.nested(InfoAttr.DATA);
      return data === undefined ? { kind } : { kind, bridge: readBridge(data) };
    }
    case "tun": {
      const data = a.nested(InfoAttr.DATA);
      return data === undefined ? { kind } : { kind, tun: readTun(data) };
    }
    case "dummy":
    case "ifb":
      return { kind };
    default:
      return { kind: "other", name: kind };
  }
}

const NAMES = Object.fromEntries(Object.entries(LinkAttr).map(([k, v]) => [`IFLA_${k}`, v]));
const INFO_NAMES = { IFLA_INFO_KIND: InfoAttr.KIND, IFLA_INFO_DATA: InfoAttr.DATA };
const HEADER = 16;

/** Names for errors, for a link of this kind. */
export function linkSchema(info: LinkInfo | undefined): AttrSchema {
  const kind = info?.kind ?? "";
  const data: AttrSchema | undefined =
    kind === "veth"
      ? { skip: 0, names: { VETH_INFO_PEER }, nested: { [VETH_INFO_PEER]: { skip: HEADER, names: NAMES } } }
      : KIND_SCHEMAS[kind];
  const linkInfo: AttrSchema = {
    skip: 0,
    names: INFO_NAMES,
    ...(data === undefined ? {} : { nested: { [InfoAttr.DATA]: data } }),
  };
  return { skip: HEADER, names: NAMES, nested: { [LinkAttr.LINKINFO]: linkInfo } };
}
