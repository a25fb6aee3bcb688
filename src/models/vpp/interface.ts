import { isMulticastMac, parseMac } from "../../base/ip/mac.ts";
import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkDevice, checkInteger, checkIp, checkName } from "./checks.ts";
import { type FurtherInterfaceValue, validateFurtherInterface } from "./interface-kinds.ts";

/*
 * VPP's interfaces. Ours are known by the name in their tag. An interface is made down, with its MTU: what it needs
 * before the first packet (addresses, policies, neighbours) is named by the item that brings it up.
 */

interface Common {
  /** Unique on the node: letters, digits, `.`, `_`, `-`. */
  readonly name: string;
  /** Largest IP packet, in bytes. A larger frame than the device takes wedges an AF_PACKET interface for good. */
  readonly mtu: number;
}

interface Ethernet extends Common {
  /** Canonical text. */
  readonly mac: string;
}

export interface LoopbackValue extends Ethernet {
  readonly kind: "loopback";
}

/** A kernel device that VPP shares through a packet socket. */
export interface AfPacketValue extends Ethernet {
  readonly kind: "af-packet";
  /** In VPP's own network namespace. */
  readonly device: string;
  readonly queues: number;
  /** Takes segmentation and checksum offload over from the device. VPP does not say whether: kept in the tag. */
  readonly offload: boolean;
  /**
   * What VPP sends passes the device's queueing discipline, for shaping. VPP's receiving socket sees VPP's own frames again
   * then; so false where there is nothing to shape. Kept in the tag as well.
   */
  readonly qdisc: boolean;
  /** What must be in place as long as it is: the device, to begin with. Not read back. */
  readonly requires?: readonly Key[];
}

/** Shared memory with another process. */
export interface MemifValue extends Ethernet {
  readonly kind: "memif";
  /** Number of a {@link MemifSocketValue}; 0 is VPP's own default socket. */
  readonly socket: number;
  /** Unique on the socket; both ends have the same. */
  readonly id: number;
  readonly role: "master" | "slave";
  readonly mode: "ethernet" | "ip";
  /** Not dumped: kept in the tag. */
  readonly queues: number;
}

export interface VxlanValue extends Common {
  readonly kind: "vxlan";
  readonly local: string;
  readonly remote: string;
  /** 0 to 2²⁴ - 1. */
  readonly vni: number;
  /** Both ends' UDP port. */
  readonly port: number;
  /** VRF that the outer packets are routed in. */
  readonly vrf: number;
}

/**
 * A tap device of the kernel, opened by vhost-net. It is there before, and VPP gets it back after a restart with all that the
 * kernel has on it; it goes when the interface is removed.
 */
export interface TapValue extends Ethernet {
  readonly kind: "tap";
  /** Name of the kernel's device. */
  readonly device: string;
  /** Path or name of the network namespace that it is in; VPP's own if absent. 63 bytes at most. */
  readonly netns?: string;
  /** Ethernet address of the kernel's device, which VPP sets. */
  readonly hostMac: string;
  /** Segments of TCP and unfinished checksums pass both ways. */
  readonly offload: boolean;
  /** What must be in place as long as it is: the device, to begin with. Not read back. */
  readonly requires?: readonly Key[];
}

/** What comes with an 802.1Q tag on another interface. */
export interface VlanValue extends Common {
  readonly kind: "vlan";
  readonly parent: string;
  /** 1 to 4094. */
  readonly vlan: number;
}

export type InterfaceValue =
  | AfPacketValue
  | FurtherInterfaceValue
  | LoopbackValue
  | MemifValue
  | TapValue
  | VlanValue
  | VxlanValue;
export type InterfaceKind = InterfaceValue["kind"];

export interface MemifSocketValue {
  /** Not 0. */
  readonly id: number;
  /** A path, or `abstract:name,netns_name=/path` for an abstract socket in a network namespace. */
  readonly filename: string;
}

/** What leaves by an interface is cut into segments that its device takes, where the device does not do that itself. */
export interface GsoValue {
  readonly interface: string;
}

/** An interface forwards. It waits for everything that must be in place before its first packet. */
export interface InterfaceUpValue {
  readonly interface: string;
  readonly requires: readonly Key[];
}

export const INTERFACE_PREFIX = "vpp/interface/";
export const MEMIF_SOCKET_PREFIX = "vpp/memif-socket/";
export const INTERFACE_UP_PREFIX = "vpp/interface-up/";
export const GSO_PREFIX = "vpp/gso/";

export const interfaceKey = (name: string): Key => `${INTERFACE_PREFIX}${name}`;
export const memifSocketKey = (id: number): Key => `${MEMIF_SOCKET_PREFIX}${id}`;
export const interfaceUpKey = (name: string): Key => `${INTERFACE_UP_PREFIX}${name}`;
export const gsoKey = (name: string): Key => `${GSO_PREFIX}${name}`;

/** Bytes of a tag for what VPP does not dump of an interface: `#255,1,1`. */
const RESERVED = 8;

/** Bytes of a path in VPP's message (`string host_namespace[64]`). */
const MAX_NETNS = 63;

/** Whether VPP can be told of a tap in the network namespace at a path. */
export const fitsTap = (netns: string): boolean => Buffer.byteLength(netns) <= MAX_NETNS;

export function checkInterfaceName(name: string, field = "interface"): void {
  checkName(name, field, RESERVED);
  check(/^[A-Za-z0-9._-]+$/.test(name), field, `${JSON.stringify(name)} has other characters than A-Z a-z 0-9 . _ -`);
}

/** @throws InvalidValueError */
export function validateInterface(value: InterfaceValue): void {
  checkInterfaceName(value.name, "name");
  checkInteger(value.mtu, "mtu", 68, 9216);
  if ("mac" in value) checkMac(value.mac, "mac");
  switch (value.kind) {
    case "loopback":
      return;
    case "af-packet":
      checkDevice(value.device);
      return checkInteger(value.queues, "queues", 1, 16);
    case "memif":
      checkInteger(value.socket, "socket", 0, 0xffff_fffe);
      return checkInteger(value.queues, "queues", 1, 255);
    case "vxlan":
      checkIp(value.remote, "remote", checkIp(value.local, "local"));
      check(value.local !== value.remote, "remote", "is the local address");
      checkInteger(value.port, "port", 1, 0xffff);
      checkInteger(value.vrf, "vrf", 0, 0xffff_fffe);
      return checkInteger(value.vni, "vni", 0, 0xff_ffff);
    case "tap":
      checkDevice(value.device);
      check(fitsTap(value.netns ?? ""), "netns", `at most ${MAX_NETNS} bytes`);
      return checkMac(value.hostMac, "hostMac");
    case "vlan":
      checkInterfaceName(value.parent, "parent");
      return checkInteger(value.vlan, "vlan", 1, 4094);
    default:
      return validateFurtherInterface(value);
  }
}

/** @throws InvalidValueError */
export function validateMemifSocket({ id, filename }: MemifSocketValue): void {
  checkInteger(id, "id", 1, 0xffff_fffe);
  const bytes = Buffer.byteLength(filename);
  check(bytes > 0 && bytes < 108, "filename", `1 to 107 bytes (sun_path), not ${bytes}`);
  // VPP would put a path that is not absolute below its runtime directory, and dump it so.
  check(/^(\/|abstract:)/.test(filename), "filename", `${filename} is neither an absolute path nor abstract:`);
}

/** Canonical text of an interface's own MAC address. */
export function checkMac(text: string, field: string): void {
  let canonical: string | undefined;
  try {
    const mac = parseMac(text);
    canonical = isMulticastMac(mac) ? undefined : mac;
  } catch {
    // said below
  }
  check(canonical === text, field, `${JSON.stringify(text)} is not the canonical text of a unicast MAC address`);
}
