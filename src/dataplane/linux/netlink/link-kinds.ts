import { type Attrs, type AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { familyOf } from "./ip.ts";

/** IFLA_VXLAN_* of linux/if_link.h. */
export const VxlanAttr = {
  ID: 1,
  GROUP: 2,
  LINK: 3,
  LOCAL: 4,
  TTL: 5,
  TOS: 6,
  LEARNING: 7,
  AGEING: 8,
  LIMIT: 9,
  PORT_RANGE: 10,
  PROXY: 11,
  PORT: 15,
  GROUP6: 16,
  LOCAL6: 17,
  UDP_CSUM: 18,
  UDP_ZERO_CSUM6_TX: 19,
  UDP_ZERO_CSUM6_RX: 20,
  COLLECT_METADATA: 25,
  DF: 29,
} as const;

/** IFLA_BR_*. */
export const BridgeAttr = {
  FORWARD_DELAY: 1,
  HELLO_TIME: 2,
  MAX_AGE: 3,
  AGEING_TIME: 4,
  STP_STATE: 5,
  PRIORITY: 6,
  VLAN_FILTERING: 7,
  GROUP_FWD_MASK: 9,
  MCAST_SNOOPING: 23,
} as const;

/** IFLA_TUN_*. */
export const TunAttr = { OWNER: 1, GROUP: 2, TYPE: 3, PI: 4, VNET_HDR: 5, PERSIST: 6, MULTI_QUEUE: 7 } as const;

/** A VXLAN tunnel: static neighbours and FDB entries say where packets go, unless `learning` is on. */
export interface VxlanData {
  /** The virtual network's number, 0 to 2^24 - 1. */
  readonly id?: number;
  /** Local tunnel address, IPv4 or IPv6. */
  readonly local?: string;
  /** Where unknown destinations go: a multicast group or one peer. */
  readonly group?: string;
  /** Index of the link below. */
  readonly link?: number;
  /** UDP port; the kernel's default is 8472, the standard's 4789. */
  readonly port?: number;
  readonly portRange?: { readonly low: number; readonly high: number };
  /** 0 takes the inner packet's or the default. */
  readonly ttl?: number;
  readonly tos?: number;
  readonly learning?: boolean;
  readonly proxy?: boolean;
  /** Seconds. */
  readonly ageing?: number;
  /** Largest number of FDB entries, 0 for no limit. */
  readonly limit?: number;
  readonly udpCsum?: boolean;
  readonly udpZeroCsum6Tx?: boolean;
  readonly udpZeroCsum6Rx?: boolean;
  readonly collectMetadata?: boolean;
  /** 0 unset, 1 set, 2 inherited: the outer header's don't-fragment bit. */
  readonly df?: number;
}

/** Times in hundredths of a second (USER_HZ), as the kernel has them. */
export interface BridgeData {
  readonly forwardDelay?: number;
  readonly helloTime?: number;
  readonly maxAge?: number;
  readonly ageingTime?: number;
  readonly stp?: boolean;
  readonly priority?: number;
  readonly vlanFiltering?: boolean;
  readonly groupFwdMask?: number;
  readonly mcastSnooping?: boolean;
}

/** What the kernel says about a tun or tap device. They are made by ioctl: creation over netlink is refused. */
export interface TunData {
  readonly owner?: number;
  readonly group?: number;
  readonly mode?: "tun" | "tap";
  readonly packetInfo?: boolean;
  readonly vnetHeader?: boolean;
  readonly persist?: boolean;
  readonly multiQueue?: boolean;
}

export function writeVxlan(a: AttrWriter, data: VxlanData): void {
  a.u32(VxlanAttr.ID, data.id);
  if (data.group !== undefined) a.ip(familyOf(data.group) === 2 ? VxlanAttr.GROUP : VxlanAttr.GROUP6, data.group);
  if (data.local !== undefined) a.ip(familyOf(data.local) === 2 ? VxlanAttr.LOCAL : VxlanAttr.LOCAL6, data.local);
  a.u32(VxlanAttr.LINK, data.link);
  a.u8(VxlanAttr.TTL, data.ttl).u8(VxlanAttr.TOS, data.tos);
  a.bool(VxlanAttr.LEARNING, data.learning).u32(VxlanAttr.AGEING, data.ageing).u32(VxlanAttr.LIMIT, data.limit);
  const range = data.portRange;
  if (range !== undefined) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt16BE(range.low, 0);
    bytes.writeUInt16BE(range.high, 2);
    a.bytes(VxlanAttr.PORT_RANGE, bytes);
  }
  a.bool(VxlanAttr.PROXY, data.proxy).u16be(VxlanAttr.PORT, data.port);
  a.bool(VxlanAttr.UDP_CSUM, data.udpCsum);
  a.bool(VxlanAttr.UDP_ZERO_CSUM6_TX, data.udpZeroCsum6Tx).bool(VxlanAttr.UDP_ZERO_CSUM6_RX, data.udpZeroCsum6Rx);
  a.bool(VxlanAttr.COLLECT_METADATA, data.collectMetadata).u8(VxlanAttr.DF, data.df);
}

export function readVxlan(a: Attrs): VxlanData {
  return present<VxlanData>({
    id: a.u32(VxlanAttr.ID),
    local: a.ip(VxlanAttr.LOCAL) ?? a.ip(VxlanAttr.LOCAL6),
    group: a.ip(VxlanAttr.GROUP) ?? a.ip(VxlanAttr.GROUP6),
    link: a.u32(VxlanAttr.LINK),
    port: a.u16be(VxlanAttr.PORT),
    portRange: a.struct(VxlanAttr.PORT_RANGE, (r) => ({ low: r.u16be(), high: r.u16be() })),
    ttl: a.u8(VxlanAttr.TTL),
    tos: a.u8(VxlanAttr.TOS),
    learning: a.bool(VxlanAttr.LEARNING),
    proxy: a.bool(VxlanAttr.PROXY),
    ageing: a.u32(VxlanAttr.AGEING),
    limit: a.u32(VxlanAttr.LIMIT),
    udpCsum: a.bool(VxlanAttr.UDP_CSUM),
    udpZeroCsum6Tx: a.bool(VxlanAttr.UDP_ZERO_CSUM6_TX),
    udpZeroCsum6Rx: a.bool(VxlanAttr.UDP_ZERO_CSUM6_RX),
    collectMetadata: a.bool(VxlanAttr.COLLECT_METADATA),
    df: a.u8(VxlanAttr.DF),
  });
}

export function writeBridge(a: AttrWriter, data: BridgeData): void {
  a.u32(BridgeAttr.FORWARD_DELAY, data.forwardDelay).u32(BridgeAttr.HELLO_TIME, data.helloTime);
  a.u32(BridgeAttr.MAX_AGE, data.maxAge).u32(BridgeAttr.AGEING_TIME, data.ageingTime);
  a.u32(BridgeAttr.STP_STATE, data.stp === undefined ? undefined : Number(data.stp));
  a.u16(BridgeAttr.PRIORITY, data.priority).bool(BridgeAttr.VLAN_FILTERING, data.vlanFiltering);
  a.u16(BridgeAttr.GROUP_FWD_MASK, data.groupFwdMask).bool(BridgeAttr.MCAST_SNOOPING, data.mcastSnooping);
}

export function readBridge(a: Attrs): BridgeData {
  const stp = a.u32(BridgeAttr.STP_STATE);
  return present<BridgeData>({
    forwardDelay: a.u32(BridgeAttr.FORWARD_DELAY),
    helloTime: a.u32(BridgeAttr.HELLO_TIME),
    maxAge: a.u32(BridgeAttr.MAX_AGE),
    ageingTime: a.u32(BridgeAttr.AGEING_TIME),
    stp: stp === undefined ? undefined : stp !== 0,
    priority: a.u16(BridgeAttr.PRIORITY),
    vlanFiltering: a.bool(BridgeAttr.VLAN_FILTERING),
    groupFwdMask: a.u16(BridgeAttr.GROUP_FWD_MASK),
    mcastSnooping: a.bool(BridgeAttr.MCAST_SNOOPING),
  });
}

/** IFF_TUN and IFF_TAP of linux/if_tun.h. */
const TUN_MODE = 1;
const TAP_MODE = 2;

export function writeTun(a: AttrWriter, data: TunData): void {
  a.u32(TunAttr.OWNER, data.owner).u32(TunAttr.GROUP, data.group);
  a.u8(TunAttr.TYPE, data.mode === undefined ? undefined : data.mode === "tun" ? TUN_MODE : TAP_MODE);
  a.bool(TunAttr.PI, data.packetInfo).bool(TunAttr.VNET_HDR, data.vnetHeader);
  a.bool(TunAttr.PERSIST, data.persist).bool(TunAttr.MULTI_QUEUE, data.multiQueue);
}

export function readTun(a: Attrs): TunData {
  const type = a.u8(TunAttr.TYPE);
  return present<TunData>({
    owner: a.u32(TunAttr.OWNER),
    group: a.u32(TunAttr.GROUP),
    mode: type === TUN_MODE ? "tun" : type === TAP_MODE ? "tap" : undefined,
    packetInfo: a.bool(TunAttr.PI),
    vnetHeader: a.bool(TunAttr.VNET_HDR),
    persist: a.bool(TunAttr.PERSIST),
    multiQueue: a.bool(TunAttr.MULTI_QUEUE),
  });
}

function schema(prefix: string, attrs: Readonly<Record<string, number>>): AttrSchema {
  return { skip: 0, names: Object.fromEntries(Object.entries(attrs).map(([k, v]) => [`${prefix}_${k}`, v])) };
}

/** Names for errors, by kind. */
export const KIND_SCHEMAS: Readonly<Record<string, AttrSchema>> = {
  vxlan: schema("IFLA_VXLAN", VxlanAttr),
  bridge: schema("IFLA_BR", BridgeAttr),
  tun: schema("IFLA_TUN", TunAttr),
};
