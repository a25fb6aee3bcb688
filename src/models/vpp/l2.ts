import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkName } from "./checks.ts";
import { checkInterfaceName, checkMac } from "./interface.ts";

/* What VPP switches by: bridge domains, their members and MAC addresses, interfaces connected to one another. */

/** Interfaces that exchange Ethernet frames. */
export interface BridgeDomainValue {
  /** 1 to 2²⁴ - 1; VPP's own, number 0, drops everything. */
  readonly id: number;
  /** Kept in the domain's tag. */
  readonly name: string;
  /** Broadcast and multicast go to all members. */
  readonly flood: boolean;
  /** What is sent to a MAC address that nobody has does as well. */
  readonly uuFlood: boolean;
  /** Frames are passed on at all. */
  readonly forward: boolean;
  /** Senders' MAC addresses are remembered. */
  readonly learn: boolean;
  /** ARP and neighbour solicitations are answered from what the domain was told, not flooded. */
  readonly arpTerm: boolean;
  /** Minutes until a MAC address that was learnt and is not seen any more is forgotten; 0: never. */
  readonly macAge: number;
}

/**
 * How an interface takes part: `bvi` is the domain's own interface, by which it routes (one at most); `uu-fwd` gets what is
 * sent to MAC addresses that nobody has, in place of flooding, and nothing that is flooded (one at most).
 */
export type BridgePort = "bvi" | "normal" | "uu-fwd";

/** An interface is in a bridge domain. VPP has no more than one use for an interface: a domain, a cross-connect or IP. */
export interface BridgeMemberValue {
  readonly bridge: number;
  readonly interface: string;
  readonly port: BridgePort;
  /** 0 to 255. Members of one group other than 0 get no frames from one another. Always 0 for `uu-fwd`: not dumped. */
  readonly splitHorizon: number;
}

/**
 * Where a bridge domain sends frames to a MAC address; it does not learn otherwise. VPP's entries that are not static
 * have no place here: it does not tell them from those that it has learnt.
 */
export type L2FibValue = StaticMac | FilteredMac;

interface MacOfBridge {
  readonly bridge: number;
  /** Canonical text of a unicast address. */
  readonly mac: string;
}

interface StaticMac extends MacOfBridge {
  readonly kind: "static";
  readonly interface: string;
}

/** Frames to it are dropped. */
interface FilteredMac extends MacOfBridge {
  readonly kind: "filter";
}

/** What comes in by one interface goes out by another one, as it is. One way: the other way is another item. */
export interface L2CrossConnectValue {
  readonly rx: string;
  readonly tx: string;
}

export const BRIDGE_DOMAIN_PREFIX = "vpp/bridge-domain/";
export const BRIDGE_MEMBER_PREFIX = "vpp/bridge-member/";
export const L2_FIB_PREFIX = "vpp/l2-fib/";
export const L2_CROSS_CONNECT_PREFIX = "vpp/l2-cross-connect/";

export const bridgeDomainKey = (id: number): Key => `${BRIDGE_DOMAIN_PREFIX}${id}`;
export const bridgeMemberKey = (v: Pick<BridgeMemberValue, "bridge" | "interface">): Key =>
  `${BRIDGE_MEMBER_PREFIX}${v.bridge}/${v.interface}`;
export const l2FibKey = (v: Pick<L2FibValue, "bridge" | "mac">): Key => `${L2_FIB_PREFIX}${v.bridge}/${v.mac}`;
export const l2CrossConnectKey = (rx: string): Key => `${L2_CROSS_CONNECT_PREFIX}${rx}`;

/** L2_BD_ID_MAX */
const MAX_BRIDGE = 0xff_ffff;

const checkBridge = (id: number, field: string): void => checkInteger(id, field, 1, MAX_BRIDGE);

/** @throws InvalidValueError */
export function validateBridgeDomain(value: BridgeDomainValue): void {
  checkBridge(value.id, "id");
  checkName(value.name, "name");
  checkInteger(value.macAge, "macAge", 0, 255);
}

/** @throws InvalidValueError */
export function validateBridgeMember(value: BridgeMemberValue): void {
  checkBridge(value.bridge, "bridge");
  checkInterfaceName(value.interface);
  checkInteger(value.splitHorizon, "splitHorizon", 0, value.port === "uu-fwd" ? 0 : 255);
}

/** @throws InvalidValueError */
export function validateL2Fib(value: L2FibValue): void {
  checkBridge(value.bridge, "bridge");
  checkMac(value.mac, "mac");
  if (value.kind === "static") checkInterfaceName(value.interface);
}

/** @throws InvalidValueError */
export function validateL2CrossConnect({ rx, tx }: L2CrossConnectValue): void {
  checkInterfaceName(rx, "rx");
  checkInterfaceName(tx, "tx");
  check(rx !== tx, "tx", "is the interface itself");
}
