import { addressBits, bigintToIp, type IpFamily, ipToBigint } from "../../base/ip/address.ts";
import { type Cidr, cidrSize, parseCidr } from "../../base/ip/cidr.ts";

/** Addresses from `first` to `last`. */
interface Span {
  readonly first: bigint;
  readonly last: bigint;
}

/** A set of addresses as sorted, disjoint spans that don't touch, per family. */
export type AddressBlocks = Readonly<Record<IpFamily, readonly Span[]>>;

export const NO_ADDRESSES: AddressBlocks = { 4: [], 6: [] };

/** Takes networks. */
export function blocksOf(networks: readonly Cidr[]): AddressBlocks {
  const spans = (family: IpFamily): Span[] => networks.filter((n) => n.family === family).map(spanOf);
  return { 4: merged(spans(4)), 6: merged(spans(6)) };
}

export const unionOf = (all: readonly AddressBlocks[]): AddressBlocks => ({
  4: merged(all.flatMap((b) => b[4])),
  6: merged(all.flatMap((b) => b[6])),
});

export const without = (from: AddressBlocks, what: AddressBlocks): AddressBlocks => ({
  4: subtracted(from[4], what[4]),
  6: subtracted(from[6], what[6]),
});

export const isEmptyBlocks = (b: AddressBlocks): boolean => b[4].length === 0 && b[6].length === 0;

/** The fewest networks that make up the set, IPv4 first, sorted. */
export const cidrsOf = (b: AddressBlocks): readonly string[] => [...prefixes(b[4], 4), ...prefixes(b[6], 6)];

/** Whether every address there is is in it. */
export const isEveryAddress = (cidrs: readonly string[]): boolean =>
  cidrs.length === 2 && cidrs[0] === "0.0.0.0/0" && cidrs[1] === "::/0";

/** The inverse of {@link cidrsOf}. */
export const parseBlocks = (cidrs: readonly string[]): AddressBlocks => blocksOf(cidrs.map(parseCidr));

export function blocksContain(b: AddressBlocks, family: IpFamily, address: bigint): boolean {
  const spans = b[family];
  let low = 0;
  let high = spans.length; // the span, if there is one, is the last that begins at or before the address
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((spans[middle]?.first ?? 0n) <= address) low = middle + 1;
    else high = middle;
  }
  const span = spans[low - 1];
  return span !== undefined && address <= span.last;
}

function spanOf(c: Cidr): Span {
  const first = ipToBigint(c.address);
  return { first, last: first + cidrSize(c) - 1n };
}

function merged(spans: readonly Span[]): readonly Span[] {
  if (spans.length < 2) return spans;
  const sorted = [...spans].sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0));
  const out: Span[] = [];
  for (const span of sorted) {
    const before = out.at(-1);
    if (!before || span.first > before.last + 1n) out.push(span);
    else if (span.last > before.last) out[out.length - 1] = { first: before.first, last: span.last };
  }
  return out;
}

function subtracted(from: readonly Span[], what: readonly Span[]): readonly Span[] {
  const out: Span[] = [];
  let w = 0;
  for (const span of from) {
    let first = span.first;
    while (w > 0 && (what[w - 1]?.last ?? -1n) >= first) w--;
    for (; w < what.length; w++) {
      const hole = what[w];
      if (!hole || hole.first > span.last) break;
      if (hole.last < first) continue;
      if (hole.first > first) out.push({ first, last: hole.first - 1n });
      first = hole.last + 1n;
    }
    if (first <= span.last) out.push({ first, last: span.last });
  }
  return out;
}

function* prefixes(spans: readonly Span[], family: IpFamily): Generator<string> {
  const bits = BigInt(addressBits(family));
  for (const { first, last } of spans) {
    let at = first;
    while (at <= last) {
      // The largest network that begins here and ends in the span.
      let host = 0n;
      while (host < bits && (at & (1n << host)) === 0n && at + (1n << (host + 1n)) - 1n <= last) host++;
      yield `${bigintToIp(at, family)}/${bits - host}`;
      at += 1n << host;
    }
  }
}
