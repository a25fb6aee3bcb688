import type { Key } from "../kvscheduler/api/descriptor.ts";

/*
 * Items of the Linux dataplane. One value is what one netlink request can create or remove and a dump can show.
 *
 * A pod's link is a veth pair with one key, that of the node's end; what lies on it names the end. One that is a tap has its
 * key by the same name, which nothing on the node bears.
 */

/** The name under which a route or neighbour of ours is known to the kernel (rtm_protocol, nda_protocol): "h". */
export const HEDDLE_PROTOCOL = 104;

/** The node's end of every pod's veth has this address, so that pods' neighbour entries never change: 02, "heddl". */
export const GATEWAY_MAC = "02:68:65:64:64:6c";
/** Link-local addresses that pods have as gateways; nobody holds them, pods have permanent neighbours for them. */
export const GATEWAY_IPV4 = "169.254.1.1";
export const GATEWAY_IPV6 = "fe80::1";

export const VXLAN_LINK = "hdvxlan";

/** Where VPP forwards, the host is reached through this pair: the host's end, and the one that VPP shares. */
export const HOST_LINK = "hdhost";
export const HOST_PEER = "hdhostvpp";
/** What the kernel cuts into packets for VPP passes this pair: from the first end to the second. */
export const SEGMENT_LINK = "hdseg";
export const SEGMENT_PEER = "hdsegvpp";
/** Of kernel devices that VPP shares: nobody sends to it. 02, "heddm". */
export const KERNEL_MAC = "02:68:65:64:64:6d";
/** Of {@link HOST_LINK}: 02, "hedho". */
export const HOST_MAC = "02:68:65:64:68:6f";

/** Which end of a link: a pod's veth has one in the pod; everything else lies on the node. */
export type LinkEnd = "node" | "pod";

export interface VethValue {
  readonly kind: "veth";
  readonly name: string;
  readonly mac: string;
  /** Of the node's end. */
  readonly mtu: number;
  /** Both ends. `"down"` is only found, never asked for. */
  readonly state: "down" | "up";
  /** What the node's end sends arrives at the other as packets, never as segments that are still to be cut. */
  readonly segments?: "cut";
  /**
   * `complete`: what the pod's end sends is as it would be on a wire, cut to packets, with their checksums. `tcp`: but for
   * segments of TCP, and checksums of TCP and UDP. Absent: all that a veth can leave to its other end.
   */
  readonly podSends?: "complete" | "tcp";
  readonly pod: {
    readonly netns: string;
    /** Which namespace: the same path can name another one later. */
    readonly netnsId: string;
    readonly ifName: string;
    readonly mac: string;
    readonly mtu: number;
  };
}

/** A tap device in a pod. Its other end is whoever opens it, so the node has no link of that name. */
export interface TapLinkValue {
  readonly kind: "tap";
  readonly name: string;
  /** `"down"` is only found, never asked for. */
  readonly state: "down" | "up";
  readonly pod: VethValue["pod"];
}

export interface VxlanValue {
  readonly kind: "vxlan";
  readonly name: string;
  readonly vni: number;
  readonly port: number;
  readonly mac: string;
  readonly mtu: number;
  /** Own underlay address. */
  readonly local: string;
  readonly state: "down" | "up";
}

/** A link that is not ours: the underlay's. Only observed. */
export interface ForeignLinkValue {
  readonly kind: "foreign";
  readonly name: string;
}

/** Takes what a pod sends before it is routed, so that it can be shaped: the kernel shapes only what leaves a link. */
export interface IfbValue {
  readonly kind: "ifb";
  readonly name: string;
  readonly mtu: number;
  readonly state: "down" | "up";
}

export type LinkValue = ForeignLinkValue | IfbValue | TapLinkValue | VethValue | VxlanValue;

export interface AddressValue {
  readonly link: string;
  readonly end: LinkEnd;
  /** Canonical text. */
  readonly address: string;
  readonly prefix: number;
  /** What is sent comes from it only where a route says so: or, for IPv4, leads to the link itself. An address of scope link, a deprecated one for IPv6. */
  readonly bySource?: true;
}

export interface RouteValue {
  /** Absent for `unreachable`. */
  readonly link?: string;
  readonly end: LinkEnd;
  readonly type: "unicast" | "unreachable";
  /** Canonical CIDR; `0.0.0.0/0` and `::/0` are the default routes. */
  readonly dst: string;
  /** Absent: the destination is on the link. */
  readonly gateway?: string;
  /** The gateway is reachable although no prefix covers it. */
  readonly onLink?: boolean;
  readonly source?: string;
  /** Absent: the main one. */
  readonly table?: number;
  /** IPv6 takes 1024 where 0 is given (IP6_RT_PRIO_USER), so it is given. */
  readonly metric?: number;
  /** What else must be in place as long as it is; not read back. */
  readonly requires?: readonly Key[];
}

/** Routing tables of ours, beside the main one, begin with these bits: "h". */
export const OWN_TABLES = 0x6800_0000;
export const OWN_TABLES_MASK = 0xff00_0000;

/** Which table routes the packets that have a mark, if any does. */
export interface RuleValue {
  readonly family: 4 | 6;
  /** Its place: the main table is looked at by rule 32766. */
  readonly priority: number;
  readonly mark: number;
  /** Of {@link mark}; absent: all of it. */
  readonly mask?: number;
  /** Absent: these packets are refused. */
  readonly table?: number;
}

export interface NeighbourValue {
  readonly link: string;
  readonly end: LinkEnd;
  readonly address: string;
  readonly mac: string;
  /** What must be in place before, and makes the kernel forget it. Not read back. */
  readonly requires?: readonly Key[];
}

/** Where a VXLAN device finds the owner of a MAC address. */
export interface FdbValue {
  readonly link: string;
  readonly mac: string;
  readonly dst: string;
}

export interface SysctlValue {
  /** With slashes: `net/ipv4/conf/all/forwarding`. */
  readonly name: string;
  readonly value: string;
  /** Names of sysctls that must have been set before. */
  readonly after: readonly string[];
  /** A link of ours that it is one of: it comes and goes with it. */
  readonly link?: string;
  /** What must be in place as long as it has this value. */
  readonly requires?: readonly Key[];
}

/** A route of the kernel as it was found. */
export interface FoundRoute {
  /** Canonical CIDR. */
  readonly dst: string;
  readonly gateway?: string;
  readonly metric?: number;
  readonly onLink?: boolean;
  /** rtm_protocol */
  readonly protocol: number;
  readonly source?: string;
  /** rtm_scope, where it is not that of all destinations. */
  readonly scope?: number;
}

/** A PCI device that the kernel had, and its link's properties, which nobody else could tell any more. */
export interface TakenDevice {
  /** `0000:02:00.0` */
  readonly pci: string;
  /** The kernel's driver, which gets it back. */
  readonly driver: string;
  readonly mac: string;
  readonly mtu: number;
}

/**
 * A link of the node that another dataplane has taken: the kernel has no address and no route on it any more. What it had
 * comes back when the item goes.
 */
export interface TakenLinkValue {
  readonly link: string;
  /** Addresses with their prefix lengths, canonical. */
  readonly addresses: readonly string[];
  readonly routes: readonly FoundRoute[];
  /** Whether the kernel put received packets together (GRO), which it does not while another dataplane has the link. */
  readonly gro: boolean;
  /** The IPv4 address and default route are those of the last DHCP lease, and not what the kernel had. */
  readonly dhcp?: true;
  /** The device behind it, where that was taken as well: the kernel has no such link then. */
  readonly device?: TakenDevice;
  /** What must be in place before. Not read back. */
  readonly requires: readonly Key[];
}

/** Limits what leaves a link of the node, or the pod's end of one. */
export interface ShaperValue {
  readonly link: string;
  readonly end?: "pod";
  /** Bits per second. */
  readonly rate: number;
  /** Bits. */
  readonly burst: number;
}

/** Everything that comes in by one link leaves by another. */
export interface RedirectValue {
  readonly link: string;
  readonly to: string;
}

/**
 * Met when both ends of a veth have carrier and forward: the kernel gets there a moment after they are set up. Or when the one
 * end of a tap does, which it does when somebody has it open.
 */
export interface CarrierValue {
  readonly link: string;
  /** Only that one. */
  readonly end?: "pod";
  /** What must be in place before: who has the tap open. Not read back. */
  readonly requires?: readonly Key[];
}

export const LINK_PREFIX = "linux/link/";
export const ADDRESS_PREFIX = "linux/address/";
export const ROUTE_PREFIX = "linux/route/";
export const RULE_PREFIX = "linux/rule/";
export const NEIGHBOUR_PREFIX = "linux/neighbour/";
export const FDB_PREFIX = "linux/fdb/";
export const SYSCTL_PREFIX = "linux/sysctl/";
export const SHAPER_PREFIX = "linux/shaper/";
export const REDIRECT_PREFIX = "linux/redirect/";
export const CARRIER_PREFIX = "linux/carrier/";
export const TAKEN_LINK_PREFIX = "linux/taken-link/";

export const linkKey = (name: string): Key => `${LINK_PREFIX}${name}`;
export const addressKey = (v: Omit<AddressValue, "kind">): Key =>
  `${ADDRESS_PREFIX}${v.link}/${v.end}/${v.address}/${v.prefix}`;
export const routeKey = (v: Pick<RouteValue, "dst" | "end" | "link" | "table">): Key =>
  // A table has one route of ours for a destination; on the node it may move between links.
  `${ROUTE_PREFIX}${v.end === "pod" ? `${v.link}/pod` : "node"}/${v.table === undefined ? "" : `table-${v.table}/`}${v.dst}`;
export const ruleKey = (v: Pick<RuleValue, "family" | "mark" | "priority">): Key =>
  `${RULE_PREFIX}${v.family}/${v.priority}/0x${v.mark.toString(16)}`;
export const neighbourKey = (v: Pick<NeighbourValue, "address" | "end" | "link">): Key =>
  `${NEIGHBOUR_PREFIX}${v.link}/${v.end}/${v.address}`;
export const fdbKey = (v: Pick<FdbValue, "link" | "mac">): Key => `${FDB_PREFIX}${v.link}/${v.mac}`;
export const sysctlKey = (name: string): Key => `${SYSCTL_PREFIX}${name}`;
export const shaperKey = (v: Pick<ShaperValue, "end" | "link">): Key =>
  `${SHAPER_PREFIX}${v.link}${v.end === undefined ? "" : `/${v.end}`}`;
export const redirectKey = (v: Pick<RedirectValue, "link">): Key => `${REDIRECT_PREFIX}${v.link}`;
export const takenLinkKey = (link: string): Key => `${TAKEN_LINK_PREFIX}${link}`;
export const carrierKey = (link: string): Key => `${CARRIER_PREFIX}${link}`;

/** The IFB beside a pod's link: `hdi` and 12 of its hex digits = 15 characters. */
export const ifbName = (link: string): string => `hdi${link.slice(2, 14)}`;
export const isIfbLink = (name: string): boolean => /^hdi[0-9a-f]{12}$/.test(name);

/** Path of the network namespace of this process, which is the node's. */
export const OWN_NETNS = "/proc/self/ns/net";

/** Links of pods: `hd` and 13 hex digits. */
export const isPodLink = (name: string): boolean => /^hd[0-9a-f]{13}$/.test(name);

/** Links that are pairs of ours, pods' or the node's own. */
export const isPairLink = (name: string): boolean => isPodLink(name) || name === HOST_LINK || name === SEGMENT_LINK;
