import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp } from "./checks.ts";

/* VPP's NAT44 (endpoint-dependent): IPv4 only, one instance, everything in VRF 0. */

/** There is one; everything else of NAT44 goes with it. */
export interface Nat44Value {
  /** Of one thread; sizes the tables. */
  readonly sessions: number;
  /** Whether packets that match nothing pass. */
  readonly forwarding: boolean;
  /** Seconds. */
  readonly timeouts: {
    readonly udp: number;
    readonly tcpEstablished: number;
    readonly tcpTransitory: number;
    readonly icmp: number;
  };
}

/** What VPP takes where nothing is said (nat/lib/lib.h). */
export const NAT44_TIMEOUTS = { udp: 300, tcpEstablished: 7440, tcpTransitory: 240, icmp: 60 } as const;

/** `output`: translated when leaving by it, whichever way it came; excludes the others. */
export interface Nat44InterfaceValue {
  readonly interface: string;
  readonly side: "both" | "inside" | "output" | "outside";
}

/** An address that sources are translated to. */
export interface Nat44AddressValue {
  readonly address: string;
  /** Translates the clients of {@link Nat44DnatValue} with `source: "twice"`. */
  readonly twice: boolean;
}

export const Nat44Proto = { icmp: 1, tcp: 6, udp: 17 } as const;
export type Nat44Proto = keyof typeof Nat44Proto;

export interface Nat44Backend {
  readonly address: string;
  readonly port: number;
  /** Share of the connections among the backends, 1 to 255; 1 where there is one backend. */
  readonly weight: number;
}

/** What is sent to an address and port goes to one of the backends. */
export interface Nat44DnatValue {
  readonly address: string;
  readonly port: number;
  readonly proto: "tcp" | "udp";
  readonly backends: readonly Nat44Backend[];
  /** Seconds that a client stays with its backend; 0: each connection by itself. Needs two backends. */
  readonly affinity: number;
  /** `twice` translates the client's address too, `self` where client and backend are the same. */
  readonly source: "keep" | "self" | "twice";
  /** Connections that the backends begin are not translated. Else the address has to be in the pool if there are two. */
  readonly inOnly: boolean;
}

/** Is not translated. */
export interface Nat44IdentityValue {
  /** An address, or an interface and with it its first address. */
  readonly on: { readonly address: string } | { readonly interface: string };
  /** Absent: everything. */
  readonly port?: { readonly proto: Nat44Proto; readonly port: number };
}

export const NAT44_KEY: Key = "vpp/nat44/global";
export const NAT44_INTERFACE_PREFIX = "vpp/nat44-interface/";
export const NAT44_ADDRESS_PREFIX = "vpp/nat44-address/";
export const NAT44_DNAT_PREFIX = "vpp/nat44-dnat/";
export const NAT44_IDENTITY_PREFIX = "vpp/nat44-identity/";

export const nat44InterfaceKey = (name: string): Key => `${NAT44_INTERFACE_PREFIX}${name}`;
export const nat44AddressKey = (v: Nat44AddressValue): Key =>
  `${NAT44_ADDRESS_PREFIX}${v.twice ? "twice" : "source"}/${v.address}`;
export const nat44DnatKey = (v: Pick<Nat44DnatValue, "address" | "port" | "proto">): Key =>
  `${NAT44_DNAT_PREFIX}${v.proto}/${v.address}/${v.port}`;
export const nat44IdentityKey = ({ on, port }: Nat44IdentityValue): Key => {
  const where = "address" in on ? `address/${on.address}` : `interface/${on.interface}`;
  return `${NAT44_IDENTITY_PREFIX}${where}/${port === undefined ? "all" : `${port.proto}/${port.port}`}`;
};

/** Throws `InvalidValueError`. */
export function validateNat44({ sessions, timeouts }: Nat44Value): void {
  // 0 is how VPP says that NAT44 is off.
  checkInteger(sessions, "sessions", 1, 2 ** 24);
  for (const [name, seconds] of Object.entries(timeouts)) checkInteger(seconds, `timeouts.${name}`, 1, 2 ** 31 - 1);
}

export function validateNat44Dnat(value: Nat44DnatValue): void {
  const { backends } = value;
  checkIp(value.address, "address", 4);
  checkInteger(value.port, "port", 1, 65_535);
  check(backends.length > 0, "backends", "there is none");
  checkInteger(value.affinity, "affinity", 0, 2 ** 32 - 1);
  check(value.affinity === 0 || backends.length > 1, "affinity", "means nothing with one backend");
  const seen = new Set<string>();
  for (const [i, { address, port, weight }] of backends.entries()) {
    checkIp(address, `backends[${i}].address`, 4);
    checkInteger(port, `backends[${i}].port`, 1, 65_535);
    checkInteger(weight, `backends[${i}].weight`, 1, backends.length > 1 ? 255 : 1);
    check(!seen.has(`${address} ${port}`), `backends[${i}]`, "is there twice");
    seen.add(`${address} ${port}`);
  }
  // Cumulative weights are kept in a byte (nat44_lb_addr_port_t.prefix).
  const sum = backends.reduce((total, { weight }) => total + weight, 0);
  check(backends.length === 1 || sum <= 255, "backends", `weights add up to ${sum}, more than 255`);
}

export function validateNat44Identity({ on, port }: Nat44IdentityValue): void {
  if ("address" in on) checkIp(on.address, "on.address", 4);
  if (port !== undefined) checkInteger(port.port, "port.port", 0, 65_535);
}
