import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp, checkNetwork } from "./checks.ts";

/* VPP's CNAT plugin: services without a table of connections in the kernel's sense. Everything lies in FIB table 0. */

/** Protocols that CNAT translates. VPP's does not translate SCTP over IPv6. */
export const CnatProto = { tcp: 6, udp: 17, sctp: 132 } as const;
export type CnatProto = keyof typeof CnatProto;

export interface CnatBackend {
  readonly address: string;
  readonly port: number;
}

/** What is sent to an address and port goes to one of the backends. */
export interface CnatTranslationValue {
  readonly address: string;
  readonly port: number;
  readonly proto: CnatProto;
  /**
   * The address has a life of its own, an interface's for example: packets are translated on interfaces with CNAT, and what is
   * sent to it otherwise takes its routes. Else VPP takes over everything that is sent to it, and drops what is no port's.
   */
  readonly real: boolean;
  /** `maglev` moves fewer clients when the backends change. */
  readonly balance: "default" | "maglev";
  /** `client`: all connections of one source address go to one backend as long as the backends stay the same. */
  readonly hash: "connection" | "client";
  /** At least one, in any order: VPP dies of an empty list. */
  readonly backends: readonly CnatBackend[];
}

/** Which sources are translated, and to which address. There is one, for FIB table 0. */
export interface CnatSnatValue {
  /** At least one of them. */
  readonly ip4?: string;
  readonly ip6?: string;
  /**
   * `all` traffic; `interfaces`: what comes from those in the tables `include4` and `include6`, unless it goes to an
   * excluded prefix; `k8s`: that, connections of a pod to itself, and what neither comes from nor goes to a pod.
   * `unknown` is only found, never asked for: somebody else set the addresses.
   */
  readonly policy: "all" | "interfaces" | "k8s" | "unknown";
  /** What must be in place as long as it is; not read back. */
  readonly requires?: readonly Key[];
}

/** Tables of interfaces that the policies look into. */
export const CnatTable = { include4: 0, include6: 1, pod: 2, host: 3 } as const;
export type CnatTable = keyof typeof CnatTable;

export interface CnatSnatInterfaceValue {
  readonly interface: string;
  readonly table: CnatTable;
}

/** Connections to it keep their source. */
export interface CnatSnatExcludeValue {
  readonly prefix: string;
}

/** CNAT sees what passes the interface. */
export interface CnatFeatureValue {
  readonly interface: string;
  /** False: what the answers look like is not taken down of connections that leave by it. */
  readonly writeback?: false;
  /** What must be in place as long as it does; not read back. The source policy has to be there before any feature. */
  readonly requires?: readonly Key[];
}

export const CNAT_TRANSLATION_PREFIX = "vpp/cnat-translation/";
export const CNAT_SNAT_KEY: Key = "vpp/cnat-snat/policy";
export const CNAT_SNAT_INTERFACE_PREFIX = "vpp/cnat-snat-interface/";
export const CNAT_SNAT_EXCLUDE_PREFIX = "vpp/cnat-snat-exclude/";
export const CNAT_FEATURE_PREFIX = "vpp/cnat-feature/";

export const cnatTranslationKey = (v: Pick<CnatTranslationValue, "address" | "port" | "proto">): Key =>
  `${CNAT_TRANSLATION_PREFIX}${v.proto}/${v.address}/${v.port}`;
export const cnatSnatInterfaceKey = (v: CnatSnatInterfaceValue): Key =>
  `${CNAT_SNAT_INTERFACE_PREFIX}${v.table}/${v.interface}`;
export const cnatSnatExcludeKey = (prefix: string): Key => `${CNAT_SNAT_EXCLUDE_PREFIX}${prefix}`;
export const cnatFeatureKey = (name: string): Key => `${CNAT_FEATURE_PREFIX}${name}`;

/**
 * VPP has no way to read back which policy is set, so it is noted in the table of excluded prefixes, as an address that
 * no packet is sent to (class E, RFC 1112 section 4).
 */
export const POLICY_MARKS = { all: "240.0.0.1/32", interfaces: "240.0.0.2/32", k8s: "240.0.0.3/32" } as const;

/** Throws `InvalidValueError`. */
export function validateCnatTranslation(value: CnatTranslationValue): void {
  const family = checkIp(value.address, "address");
  checkInteger(value.port, "port", 1, 65_535);
  check(value.proto !== "sctp" || family === 4, "proto", "VPP does not translate SCTP over IPv6");
  check(value.backends.length > 0, "backends", "VPP dies of a translation without backends");
  const seen = new Set<string>();
  for (const [i, backend] of value.backends.entries()) {
    checkIp(backend.address, `backends[${i}].address`, family);
    checkInteger(backend.port, `backends[${i}].port`, 1, 65_535);
    const text = `${backend.address} ${backend.port}`;
    check(!seen.has(text), `backends[${i}]`, "is there twice");
    seen.add(text);
  }
}

export function validateCnatSnat({ ip4, ip6, policy }: CnatSnatValue): void {
  check(policy !== "unknown", "policy", "is only found");
  check(ip4 !== undefined || ip6 !== undefined, "ip4", "without an address there is nothing to translate to");
  if (ip4 !== undefined) checkIp(ip4, "ip4", 4);
  if (ip6 !== undefined) checkIp(ip6, "ip6", 6);
  check(ip4 !== "0.0.0.0", "ip4", "is no source address");
  check(ip6 !== "::", "ip6", "is no source address");
}

export function validateCnatExclude({ prefix }: CnatSnatExcludeValue): void {
  checkNetwork(prefix, "prefix");
  check(!prefix.startsWith("240.0.0."), "prefix", "240.0.0.0/24 marks the policy");
}
