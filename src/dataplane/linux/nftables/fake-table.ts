import { familyOf, parseIp, tryParseIp } from "../../../base/ip/address.ts";
import { type Cidr, cidr, cidrsOverlap, formatCidr, parseNetwork } from "../../../base/ip/cidr.ts";
import { NftError, type NftJsonObject } from "./nft.ts";

export interface FakeHook {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
}

export interface FakeRule {
  readonly text: string;
  readonly comment: string | undefined;
}

export interface FakeChain {
  readonly hook: FakeHook | undefined;
  readonly policy: string | undefined;
  readonly rules: FakeRule[];
}

export interface FakeSet {
  readonly kind: "map" | "set";
  /** Of the key's parts. */
  readonly type: readonly string[];
  /** Of the data's parts; empty for a set. */
  readonly data: readonly string[];
  readonly flags: readonly string[];
  /** Canonical text of the key to that of the data, "" in a set. */
  readonly elements: Map<string, string>;
}

export interface FakeTable {
  readonly sets: Map<string, FakeSet>;
  readonly chains: Map<string, FakeChain>;
}

/** What the kernel, or `nft` itself, refuses. */
export const refused = (why: string): NftError => new NftError("REFUSED", why);

const PARTS: Readonly<Record<string, (text: string) => string>> = {
  ipv4_addr: (text) => address(text, 4),
  ipv6_addr: (text) => address(text, 6),
  inet_proto(text) {
    if (!["tcp", "udp", "sctp"].includes(text)) throw refused("Could not resolve protocol name");
    return text;
  },
  inet_service(text) {
    if (!/^\d+$/.test(text) || Number(text) > 65_535) throw refused("Service out of range");
    return String(Number(text));
  },
};

/** `inet_proto . inet_service` in its parts. */
export function parseType(text: string): string[] {
  const parts = text.split(" . ");
  for (const part of parts) if (!(part in PARTS)) throw refused(`unknown datatype ${part}`);
  return parts;
}

function address(text: string, family: 4 | 6): string {
  const ip = tryParseIp(text);
  if (ip === undefined || familyOf(ip) !== family) throw refused("Could not resolve hostname");
  return ip;
}

function concatenation(text: string, types: readonly string[]): string {
  const parts = text.split(" . ");
  if (parts.length !== types.length) throw refused("datatype mismatch in a concatenation");
  return parts.map((part, i) => PARTS[types[i] ?? ""]?.(part)).join(" . ");
}

const isInterval = (set: FakeSet): boolean => set.flags.includes("interval");

/** A prefix, or a lone address as a prefix of full length. */
function interval(text: string, set: FakeSet): Cidr {
  const family = set.type[0] === "ipv6_addr" ? 6 : 4;
  const ip = tryParseIp(text);
  const parsed = ip === undefined ? parseNetwork(text) : cidr(ip, family === 6 ? 128 : 32);
  if (parsed.family !== family) throw refused("Could not resolve hostname");
  return parsed;
}

/** `key` or `key : data` in canonical form, as `nft` lists it. */
export function parseElement(set: FakeSet, text: string): { readonly key: string; readonly data: string } {
  const at = text.indexOf(" : ");
  const [key, data] = at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 3)];
  if (data !== undefined && set.kind === "set") throw refused("set has no data");
  return {
    key: isInterval(set) ? formatCidr(interval(key, set)) : concatenation(key, set.type),
    data: data === undefined ? "" : concatenation(data, set.data),
  };
}

export function addElement(set: FakeSet, text: string): void {
  const { key, data } = parseElement(set, text);
  if (set.kind === "map" && data === "") throw refused("map element without data");
  const present = set.elements.get(key);
  if (present !== undefined && present !== data) throw refused("Could not process rule: File exists");
  if (present === undefined && isInterval(set)) {
    const own = parseNetwork(key);
    for (const other of set.elements.keys()) {
      if (cidrsOverlap(own, parseNetwork(other))) throw refused("interval overlaps with an existing one");
    }
  }
  set.elements.set(key, data);
}

export function deleteElement(set: FakeSet, text: string): void {
  const { key } = parseElement(set, text);
  if (!set.elements.delete(key)) throw refused("Could not process rule: No such file or directory");
}

/** Sets and maps that a rule names. */
export const setsOf = (rule: FakeRule): string[] => [...rule.text.matchAll(/@([\w-]+)/g)].map((m) => m[1] ?? "");

/** Chains that a rule leads to. */
export const jumpsOf = (rule: FakeRule): string[] =>
  [...rule.text.matchAll(/\b(?:jump|goto) ([\w-]+)/g)].map((m) => m[1] ?? "");

/** NFT_JUMP_STACK_SIZE of net/netfilter/nf_tables.h: how deep chains may lead into each other. */
const MAX_DEPTH = 16;

/** Translations, and the hooks of nat chains that they make sense in (nft_nat_validate, nft_masq_validate). */
const TRANSLATIONS: readonly (readonly [statement: RegExp, hooks: readonly string[]])[] = [
  [/\bdnat (?:ip6? )?to /, ["prerouting", "output"]],
  [/\bmasquerade\b/, ["postrouting"]],
];

/** What the kernel looks at when a transaction is complete: all that can be reached from base chains, and only that. */
export function validate(table: FakeTable): void {
  for (const [name, { hook }] of table.chains) if (hook) validateChain(table, name, hook, 1);
}

function validateChain(table: FakeTable, name: string, hook: FakeHook, depth: number): void {
  if (depth > MAX_DEPTH) throw refused("Could not process rule: Too many links");
  for (const rule of table.chains.get(name)?.rules ?? []) {
    for (const [statement, hooks] of TRANSLATIONS) {
      if (!statement.test(rule.text) || (hook.type === "nat" && hooks.includes(hook.hook))) continue;
      throw refused("Could not process rule: Operation not supported");
    }
    for (const next of jumpsOf(rule)) validateChain(table, next, hook, depth + 1);
  }
}

const typeJson = (parts: readonly string[]): string | readonly string[] =>
  parts.length === 1 ? (parts[0] ?? "") : parts;

function partJson(text: string, type: string | undefined): unknown {
  return type === "inet_service" ? Number(text) : text;
}

function valueJson(text: string, types: readonly string[]): unknown {
  const parts = text.split(" . ").map((part, i) => partJson(part, types[i]));
  return parts.length === 1 ? parts[0] : { concat: parts };
}

function keyJson(set: FakeSet, key: string): unknown {
  if (!isInterval(set)) return valueJson(key, set.type);
  const { address: addr, prefix: len, family } = parseNetwork(key);
  return len === (family === 6 ? 128 : 32) ? parseIp(addr) : { prefix: { addr, len } };
}

/** As `nft -j` prints a set or map. */
export function setJson(table: string, name: string, set: FakeSet): NftJsonObject {
  const elem = [...set.elements].map(([key, data]) => {
    const keyed = keyJson(set, key);
    return set.kind === "map" ? [keyed, valueJson(data, set.data)] : keyed;
  });
  const common = {
    family: "inet",
    name,
    table,
    type: typeJson(set.type),
    ...(set.kind === "map" ? { map: set.data.join(" . ") } : {}),
    ...(set.flags.length > 0 ? { flags: set.flags } : {}),
    ...(elem.length > 0 ? { elem } : {}),
  };
  return { [set.kind]: common };
}

/** As `nft -j` prints a chain. */
export function chainJson(family: string, table: string, name: string, { hook, policy }: FakeChain): NftJsonObject {
  const base = hook ? { type: hook.type, hook: hook.hook, prio: hook.priority, policy: policy ?? "accept" } : {};
  return { chain: { family, table, name, ...base } };
}

/** As `nft -j` prints a rule, but for its expressions. */
export const ruleJson = (table: string, chain: string, { comment }: FakeRule): NftJsonObject => ({
  rule: { family: "inet", table, chain, ...(comment === undefined ? {} : { comment }), expr: [] },
});
