import { memo } from "../../base/memo/memo.ts";
import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkName, checkNetwork } from "./checks.ts";

/*
 * Lists of VPP's ACL plugin and where they apply. Lists are known by name; VPP's numbers are found through their tags.
 */

/** First and last, both included. */
export type Range = readonly [first: number, last: number];

/** `permit+reflect` also lets through the other direction of a flow that it has permitted, whatever that direction's lists say. */
export type AclAction = "deny" | "permit" | "permit+reflect";

export interface AclRule {
  readonly action: AclAction;
  /** Canonical CIDRs of one family. `0.0.0.0/0` and `::/0` are everything of their family. */
  readonly src: string;
  readonly dst: string;
  /** IP protocol number, 1 to 255; absent: all. */
  readonly proto?: number;
  /** TCP and UDP only (VPP sees no ports of others, SCTP among them); absent: all. */
  readonly srcPorts?: Range;
  readonly dstPorts?: Range;
  /** ICMP (1) and ICMPv6 (58) only. */
  readonly icmpType?: Range;
  readonly icmpCode?: Range;
  /** TCP only: the flags under `mask` are `value`. */
  readonly tcpFlags?: { readonly value: number; readonly mask: number };
}

/** The first rule that matches decides; what no rule of the lists of a direction matches is dropped. */
export interface AclValue {
  readonly name: string;
  readonly rules: readonly AclRule[];
}

/** The lists of an interface, in order, by name. A direction without lists lets everything through. */
export interface AclInterfaceValue {
  readonly interface: string;
  /** What VPP receives. */
  readonly input: readonly string[];
  /** What VPP sends. */
  readonly output: readonly string[];
}

export interface MacipRule {
  readonly action: "deny" | "permit";
  readonly mac: string;
  readonly macMask: string;
  readonly src: string;
}

/** Which source addresses may come from which MAC addresses (ARP included). */
export interface MacipAclValue {
  readonly name: string;
  readonly rules: readonly MacipRule[];
}

/** An interface has one such list. */
export interface MacipInterfaceValue {
  readonly interface: string;
  readonly acl: string;
}

export const ACL_PREFIX = "vpp/acl/";
export const ACL_INTERFACE_PREFIX = "vpp/acl-interface/";
export const MACIP_PREFIX = "vpp/macip-acl/";
export const MACIP_INTERFACE_PREFIX = "vpp/macip-acl-interface/";

export const aclKey = (name: string): Key => `${ACL_PREFIX}${name}`;
export const aclInterfaceKey = (name: string): Key => `${ACL_INTERFACE_PREFIX}${name}`;
export const macipKey = (name: string): Key => `${MACIP_PREFIX}${name}`;
export const macipInterfaceKey = (name: string): Key => `${MACIP_INTERFACE_PREFIX}${name}`;

const TCP = 6;
const UDP = 17;
export const isIcmp = (proto: number | undefined): boolean => proto === 1 || proto === 58;

/** Throws `InvalidValueError`. */
export function validateAcl({ name, rules }: AclValue): void {
  checkName(name, "name");
  check(rules.length > 0, "rules", "VPP warns of a list without rules; say what it denies");
  for (const [i, rule] of rules.entries()) validateRule(rule, i);
}

/** Rules are never changed, and those of a list that changes are mostly the same objects as before. */
const validateRule = memo((rule: AclRule, place: number): true => {
  const { proto } = rule;
  const at = `rules[${place}]`;
  const family = checkNetwork(rule.src, `${at}.src`);
  check(checkNetwork(rule.dst, `${at}.dst`) === family, `${at}.dst`, `${rule.dst} is not of the family of ${rule.src}`);
  if (proto !== undefined) checkInteger(proto, `${at}.proto`, 1, 255);
  for (const field of ["srcPorts", "dstPorts", "icmpType", "icmpCode"] as const) {
    const range = rule[field];
    if (range === undefined) continue;
    const ports = field.endsWith("Ports");
    const fits = ports ? proto === TCP || proto === UDP : isIcmp(proto);
    check(fits, `${at}.${field}`, `protocol ${proto ?? "any"} has none that VPP could see`);
    const max = ports ? 65_535 : 255;
    for (const n of range) checkInteger(n, `${at}.${field}`, 0, max);
    check(range[0] <= range[1], `${at}.${field}`, `${range[0]} is behind ${range[1]}`);
    // "All" has one representation, so that what is read back is equal.
    check(!(range[0] === 0 && range[1] === 65_535), `${at}.${field}`, "leave it out to have all of them");
  }
  if (rule.tcpFlags === undefined) return true;
  check(proto === TCP, `${at}.tcpFlags`, "only TCP has them");
  checkInteger(rule.tcpFlags.mask, `${at}.tcpFlags.mask`, 1, 255);
  checkInteger(rule.tcpFlags.value, `${at}.tcpFlags.value`, 0, 255);
  return true;
});

export function validateAclInterface(value: AclInterfaceValue): void {
  const { input, output } = value;
  // count and n_input of the dump are u8.
  check(input.length + output.length <= 255, "input", "VPP tells of 255 lists of an interface at most");
  check(input.length + output.length > 0, "input", "neither direction has a list");
  check(new Set(input).size === input.length, "input", "VPP refuses the same list twice");
  check(new Set(output).size === output.length, "output", "VPP refuses the same list twice");
}

const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

export function validateMacip({ name, rules }: MacipAclValue): void {
  checkName(name, "name");
  check(rules.length > 0, "rules", "VPP warns of a list without rules; say what it denies");
  for (const [i, rule] of rules.entries()) {
    checkNetwork(rule.src, `rules[${i}].src`);
    check(MAC.test(rule.mac), `rules[${i}].mac`, `${rule.mac} is not a MAC address`);
    check(MAC.test(rule.macMask), `rules[${i}].macMask`, `${rule.macMask} is not a MAC address`);
  }
}
