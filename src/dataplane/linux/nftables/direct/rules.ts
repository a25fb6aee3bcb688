import { NLA_F_NESTED } from "../../netlink/attr.ts";
import { type NftBatch, NftMessage } from "./batch.ts";
import {
  Compare,
  compare,
  counter,
  decide,
  destinationType,
  type Expression,
  lookup,
  MetaKey,
  mask,
  meta,
  PayloadBase,
  payload,
  registerAt,
  verdict,
} from "./expressions.ts";
import { PROTOCOLS } from "./fields.ts";
import { parseRanges, type Range } from "./ranges.ts";
import { ANONYMOUS, addAnonymousSet } from "./sets.ts";

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
const DPORT = { offset: 2, length: 2 } as const;
const PROTOCOL_WORDS = 1;
/** An attribute has 64 KiB at most; a range of addresses less than 100 bytes. */
const MOST_RANGES = 500;

/** A set that a rule brings along. */
interface Anonymous {
  readonly type: string;
  readonly ranges: readonly Range[];
}

/** A rule's expressions; those of sets are made when the sets have their numbers. */
type Part = Expression | Anonymous;

type Statement = readonly [pattern: RegExp, parts: (...found: string[]) => readonly Part[] | undefined];

/** The statements that rules of policies are made of, in `nft`'s language. */
const STATEMENTS: readonly Statement[] = [
  [/^(ip6?) daddr \. meta l4proto \. th dport @(\S+)$/, endpointsOf],
  [/^(ip6?) ([sd]addr) @(\S+)$/, addressIn],
  [/^(ip6?) ([sd]addr) (\{[^}]+\}|[^\s@]+)$/, addressesIn],
  [/^meta nfproto (ipv[46])$/, (ip = "") => [meta(MetaKey.NFPROTO), equal(NFPROTO[ip] ?? 0)]],
  [/^meta l4proto (tcp|udp|sctp)$/, (name) => protocol(name)],
  [/^(tcp|udp|sctp) dport (\{[^}]+\}|[^\s@]+)$/, portsIn],
  [/^fib daddr type local$/, () => [destinationType, compare(Compare.EQUAL, u32(RTN_LOCAL))]],
  [/^counter$/, () => [counter]],
];
/** A statement's text ends where the next one begins. */
const BOUNDARY =
  / (?=(?:ip6? [sd]addr|meta (?:nfproto|l4proto) (?!\.)|(?:tcp|udp|sctp) dport|fib|counter|return|accept|drop|continue|jump|goto)\b)/;

/** Adds a rule at the end of a chain. False if it says something that only nft can write. */
export function addRule(batch: NftBatch, chain: string, rule: string, comment: string): boolean {
  const parts = parse(rule);
  if (parts === undefined || parts.some((part) => typeof part !== "function" && part.ranges.length > MOST_RANGES)) {
    return false;
  }
  const subject = `rule "${rule}" of chain ${chain}`;
  const expressions = parts.map((part) =>
    typeof part === "function" ? part : lookup(ANONYMOUS, addAnonymousSet(batch, part.type, part.ranges, subject)),
  );
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

function parse(rule: string): Part[] | undefined {
  const texts = rule.split(BOUNDARY);
  const decision = verdict(texts.at(-1) ?? "");
  if (decision === undefined) return undefined;
  const parts: Part[] = [];
  for (const text of texts.slice(0, -1)) {
    const found = statement(text);
    if (found === undefined) return undefined;
    parts.push(...found);
  }
  return [...parts, decide(decision)];
}

function statement(text: string): readonly Part[] | undefined {
  for (const [pattern, parts] of STATEMENTS) {
    const match = pattern.exec(text);
    if (match) return parts(...match.slice(1));
  }
  return undefined;
}

function addressIn(ip = "", side = "", set = ""): Part[] {
  const { length, [side as "daddr" | "saddr"]: offset } = at(ip);
  return [...family(ip), payload(PayloadBase.NETWORK, offset, length), lookup(set)];
}

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

function addressesIn(ip = "", side = "", text = ""): Part[] | undefined {
  const { type, length, [side as "daddr" | "saddr"]: offset } = at(ip);
  const ranges = parseRanges(text, type);
  if (ranges === undefined) return undefined;
  const load = (bytes: number) => payload(PayloadBase.NETWORK, offset, bytes);
  const prefix = /^[^{/]+\/(\d+)$/.exec(text)?.[1];
  const [range] = ranges;
  if (text.startsWith("{") || range === undefined) return [...family(ip), load(length), { type, ranges }];
  if (prefix === undefined) {
    const isOne = Buffer.compare(range.first, range.last) === 0;
    return isOne ? [...family(ip), load(length), compare(Compare.EQUAL, range.first)] : undefined;
  }
  const bits = Number(prefix);
  // Whole bytes are compared alone.
  if (bits > 0 && bits % 8 === 0) {
    return [...family(ip), load(bits / 8), compare(Compare.EQUAL, range.first.subarray(0, bits / 8))];
  }
  const network = range.first.map((byte, i) => ~(byte ^ (range.last[i] ?? 0)) & 0xff);
  return [...family(ip), load(length), mask(network), compare(Compare.EQUAL, range.first)];
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

/** In the byte order of this machine, which is little-endian. */
function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function commentBytes(text: string): Uint8Array {
  const bytes = Buffer.from(`${text}\0`);
  return Buffer.concat([Uint8Array.of(COMMENT, bytes.length), bytes]);
}
