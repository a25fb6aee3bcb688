import { NLA_F_NESTED } from "../../netlink/attr.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import {
  Compare,
  compare,
  counter,
  decide,
  destinationType,
  dnat,
  type Expression,
  jhash,
  load,
  loadCtMark,
  lookup,
  MetaKey,
  mask,
  meta,
  PayloadBase,
  payload,
  REG_1,
  REG_2,
  REG_VERDICT,
  random,
  registerAt,
  storeCtMark,
  updateSet,
  verdict,
} from "./expressions.ts";
import { concatenation, FIELD, PROTOCOLS } from "./fields.ts";
import { parseRanges, type Range } from "./ranges.ts";
import { ANONYMOUS, ANONYMOUS_MAP, addAnonymousMap, addAnonymousSet, type MapData, u32 } from "./sets.ts";

const RuleAttr = { CHAIN: 2, EXPRESSIONS: 4, USERDATA: 7 } as const;
/** NFTNL_UDATA_RULE_COMMENT of libnftnl/udata.h. */
const COMMENT = 0;
const NFPROTO: Readonly<Record<string, number>> = { ip: 2, ip6: 10, ipv4: 2, ipv6: 10 };
const RTN_LOCAL = 2;
/** Where addresses are in their header: RFC 791, RFC 8200. */
const ADDRESSES: Readonly<Record<string, { type: string; length: number; saddr: number; daddr: number }>> = {
  ip: { type: "ipv4_addr", length: 4, saddr: 12, daddr: 16 },
  ip6: { type: "ipv6_addr", length: 16, saddr: 8, daddr: 24 },
};
/** Of TCP, UDP and SCTP. */
const SPORT = { offset: 0, length: 2 } as const;
const DPORT = { offset: 2, length: 2 } as const;
/** Register 2 begins so many words behind register 1. */
const REG_2_WORDS = 4;
const PROTOCOL_WORDS = 1;
/** An attribute has 64 KiB at most; a range of addresses less than 100 bytes. */
const MOST_RANGES = 500;

/** A set that a rule brings along. */
interface AnonymousSet {
  readonly type: string;
  readonly ranges: readonly Range[];
  readonly isInverse?: boolean;
}

/** A map that a rule brings along; what it has goes to a register. */
interface AnonymousMap {
  readonly map: MapData;
  readonly into: number;
}

/** A rule's expressions; those of sets are made when the sets have their numbers. */
export type Part = AnonymousMap | AnonymousSet | Expression;

type Statement = readonly [pattern: RegExp, parts: (...found: string[]) => readonly Part[] | undefined];

/** The statements that rules of policies and services are made of, in `nft`'s language. */
const STATEMENTS: readonly Statement[] = [
  [/^(ip6?) daddr \. meta l4proto \. th dport @(\S+)$/, endpointsOf],
  [/^(ip6?) ([sd]addr) @(\S+)$/, addressIn],
  [/^(ip6?) ([sd]addr) (\{[^}]+\}|[^\s@]+)$/, (ip, side, text) => addressesIn(ip, side, text)],
  [/^meta nfproto (ipv[46])$/, (ip = "") => [meta(MetaKey.NFPROTO), equal(NFPROTO[ip] ?? 0)]],
  [/^meta l4proto (tcp|udp|sctp)$/, (name) => protocol(name)],
  [/^(tcp|udp|sctp) dport (\{[^}]+\}|[^\s@]+)$/, portsIn],
  [/^(ip6?) saddr != \{ ([^}]+) \}$/, sourceNotIn],
  [/^update @(\S+) \{ (ip6?) saddr \}$/, (set = "", ip = "") => [...addressOf(ip, "saddr"), updateSet(set)]],
  [/^ct mark set ct mark ([|&]) (0x[0-9a-f]+)$/, markChanged],
  [/^numgen random mod (\d+) 0$/, (n) => [random(Number(n)), compare(Compare.EQUAL, u32(0))]],
  [/^dnat (ip6?) to (.+)$/, (ip = "", to = "") => translated(ip, to)],
  [/^(.+) vmap \{ (.+) \}$/, (by = "", elements = "") => drawnVerdict(by, elements)],
  [/^fib daddr type local$/, () => [destinationType, compare(Compare.EQUAL, u32(RTN_LOCAL))]],
  [/^counter$/, () => [counter]],
];
/** A statement's text ends where the next one begins, but for what is in braces, and for what belongs to a translation. */
const BOUNDARY =
  / (?=(?:ip6? [sd]addr|meta (?:nfproto|l4proto) (?!\.)|(?:tcp|udp|sctp) dport|ct mark|update|numgen|dnat|fib|counter|return|accept|drop|continue|jump|goto)\b)(?![^{]*\})(?<!\bto )(?<!\bset )(?<!\bjhash )/;

/** Adds a rule at the end of a chain. False if it says something that only nft can write. */
export function addRule(batch: NftBatch, chain: string, rule: string, comment: string): boolean {
  const parts = parse(rule);
  if (parts === undefined || parts.some((part) => "ranges" in part && part.ranges.length > MOST_RANGES)) return false;
  const subject = `rule "${rule}" of chain ${chain}`;
  const expressions = parts.map((part) => (typeof part === "function" ? part : broughtAlong(batch, part, subject)));
  batch.add(NftMessage.NEW_RULE, subject, (attrs) =>
    attrs
      .string(RuleAttr.CHAIN, chain)
      .nest(RuleAttr.EXPRESSIONS | NLA_F_NESTED, (list) => {
        for (const write of expressions) write(list);
      })
      .bytes(RuleAttr.USERDATA, commentBytes(comment)),
  );
  return true;
}

function broughtAlong(batch: NftBatch, part: AnonymousMap | AnonymousSet, subject: string): Expression {
  if ("map" in part) return lookup(ANONYMOUS_MAP, { id: addAnonymousMap(batch, part.map, subject), into: part.into });
  const id = addAnonymousSet(batch, part.type, part.ranges, subject);
  return lookup(ANONYMOUS, { id, isInverse: part.isInverse });
}

function parse(rule: string): Part[] | undefined {
  const texts = rule.split(BOUNDARY);
  const last = texts.at(-1) ?? "";
  const decision = verdict(last);
  // What decides may be part of another statement, or of the next rule.
  if (decision === undefined && !/^(?:dnat|update|ct mark set) | vmap /.test(last)) return undefined;
  const parts: Part[] = [];
  for (const text of decision === undefined ? texts : texts.slice(0, -1)) {
    const found = statement(text);
    if (found === undefined) return undefined;
    parts.push(...found);
  }
  return decision === undefined ? parts : [...parts, decide(decision)];
}

function statement(text: string): readonly Part[] | undefined {
  for (const [pattern, parts] of STATEMENTS) {
    const match = pattern.exec(text);
    if (match) return parts(...match.slice(1));
  }
  return undefined;
}

function addressIn(ip = "", side = "", set = ""): Part[] {
  return [...addressOf(ip, side), lookup(set)];
}

function addressOf(ip: string, side: string, register = REG_1): Part[] {
  const { length, [side as "daddr" | "saddr"]: offset } = at(ip);
  return [...family(ip), payload(PayloadBase.NETWORK, offset, length, register)];
}

function sourceNotIn(ip = "", text = ""): Part[] | undefined {
  // Of a single network nft makes no set.
  if (!text.includes(",")) return addressesIn(ip, "saddr", text, Compare.NOT_EQUAL);
  const { type } = at(ip);
  const ranges = parseRanges(`{ ${text} }`, type);
  return ranges && [...addressOf(ip, "saddr"), { type, ranges, isInverse: true }];
}

/** Bits of the connection's mark set or cleared. */
function markChanged(how = "", bits = ""): Part[] {
  const number = Number(bits);
  const kept = how === "|" ? ~number >>> 0 : number;
  return [loadCtMark, mask(u32(kept), u32(how === "|" ? number : 0)), storeCtMark];
}

/** `10.0.0.1:80`, `[fd00::1]:80`, or the map from a number that is drawn to such, as `10.0.0.1 . 80`. */
function translated(ip: string, to: string): Part[] | undefined {
  const { type, length } = at(ip);
  const number = NFPROTO[ip] ?? 0;
  const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^\s:]+)):(\d+)$/.exec(to) ?? [];
  if (port !== undefined) {
    const socket = concatenation(`${v6 ?? v4} . ${port}`, `${type} . inet_service`);
    if (socket === undefined) return undefined;
    const ports = socket.subarray(length, length + DPORT.length);
    return [load(socket.subarray(0, length)), load(ports, REG_2), dnat(number, REG_2, true)];
  }
  const [, by = "", elements = ""] = /^(.+) map \{ (.+) \}$/.exec(to) ?? [];
  const draws = drawing(by);
  const data = `${type} . inet_service`;
  const values = numbered(elements)?.map((text) => concatenation(text, data));
  if (draws === undefined || values === undefined || !isWhole(values)) return undefined;
  return [...draws, { map: { type: data, values }, into: REG_1 }, dnat(number, registerAt(length / 4), false)];
}

function drawnVerdict(by: string, elements: string): Part[] | undefined {
  const draws = drawing(by);
  const verdicts = numbered(elements)?.map((text) => verdict(text));
  if (draws === undefined || verdicts === undefined || !isWhole(verdicts)) return undefined;
  return [...draws, { map: { verdicts }, into: REG_VERDICT }];
}

/** What draws a number, into register 1. */
function drawing(text: string): Part[] | undefined {
  const [, count] = /^numgen random mod (\d+)$/.exec(text) ?? [];
  if (count !== undefined) return [random(Number(count))];
  const [, ip, proto, modulus, seed] =
    /^jhash (ip6?) saddr(?: \. (tcp|udp|sctp) sport)? mod (\d+) seed (0x[0-9a-f]+)$/.exec(text) ?? [];
  if (ip === undefined) return undefined;
  const { length } = at(ip);
  // Of which protocol they are has been asked before.
  const port =
    proto === undefined
      ? []
      : [payload(PayloadBase.TRANSPORT, SPORT.offset, SPORT.length, registerAt(REG_2_WORDS + length / 4))];
  const bytes = length + (proto === undefined ? 0 : FIELD);
  return [...addressOf(ip, "saddr", REG_2), ...port, jhash(bytes, Number(modulus), Number(seed))];
}

/** What is behind the numbers of a map from 0 on. */
function numbered(text: string): string[] | undefined {
  const elements = text.split(", ");
  const found = elements.map((element, i) => {
    const prefix = `${i} : `;
    return element.startsWith(prefix) ? element.slice(prefix.length) : undefined;
  });
  return isWhole(found) ? found : undefined;
}

const isWhole = <T>(list: readonly (T | undefined)[]): list is T[] => !list.includes(undefined);

function endpointsOf(ip = "", set = ""): Part[] {
  const { length, daddr } = at(ip);
  const words = length / 4;
  return [
    ...family(ip),
    payload(PayloadBase.NETWORK, daddr, length),
    meta(MetaKey.L4PROTO, registerAt(words)),
    payload(PayloadBase.TRANSPORT, DPORT.offset, DPORT.length, registerAt(words + PROTOCOL_WORDS)),
    lookup(set),
  ];
}

function addressesIn(ip = "", side = "", text = "", how: number = Compare.EQUAL): Part[] | undefined {
  const { type, length, [side as "daddr" | "saddr"]: offset } = at(ip);
  const ranges = parseRanges(text, type);
  if (ranges === undefined) return undefined;
  const load = (bytes: number) => payload(PayloadBase.NETWORK, offset, bytes);
  const prefix = /^[^{/]+\/(\d+)$/.exec(text)?.[1];
  const [range] = ranges;
  if (text.startsWith("{") || range === undefined) return [...family(ip), load(length), { type, ranges }];
  if (prefix === undefined) {
    const isOne = Buffer.compare(range.first, range.last) === 0;
    return isOne ? [...family(ip), load(length), compare(how, range.first)] : undefined;
  }
  const bits = Number(prefix);
  // Whole bytes are compared alone.
  if (bits > 0 && bits % 8 === 0) {
    return [...family(ip), load(bits / 8), compare(how, range.first.subarray(0, bits / 8))];
  }
  const network = range.first.map((byte, i) => ~(byte ^ (range.last[i] ?? 0)) & 0xff);
  return [...family(ip), load(length), mask(network), compare(how, range.first)];
}

function portsIn(name = "", text = ""): Part[] | undefined {
  const type = "inet_service";
  const ranges = parseRanges(text, type);
  const [range] = ranges ?? [];
  if (ranges === undefined || range === undefined) return undefined;
  const load = [...protocol(name), payload(PayloadBase.TRANSPORT, DPORT.offset, DPORT.length)];
  if (text.startsWith("{")) return [...load, { type, ranges }];
  if (Buffer.compare(range.first, range.last) === 0) return [...load, compare(Compare.EQUAL, range.first)];
  return [...load, compare(Compare.AT_LEAST, range.first), compare(Compare.AT_MOST, range.last)];
}

const at = (ip: string) => ADDRESSES[ip] ?? { type: "", length: 0, saddr: 0, daddr: 0 };
const family = (ip: string): Part[] => [meta(MetaKey.NFPROTO), equal(NFPROTO[ip] ?? 0)];
const protocol = (name = ""): Part[] => [meta(MetaKey.L4PROTO), equal(PROTOCOLS[name] ?? 0)];
const equal = (byte: number): Part => compare(Compare.EQUAL, Uint8Array.of(byte));

function commentBytes(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\0`);
  return Buffer.concat([Uint8Array.of(COMMENT, bytes.length), bytes]);
}
