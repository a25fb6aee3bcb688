import { addressBits, bigintToIp, type IpAddress, type IpFamily, ipToBigint } from "../../../base/ip/address.ts";
import { parseNetwork } from "../../../base/ip/cidr.ts";
import type { PortProtocol } from "../../../models/k8s/pod.ts";

/** A network of peers, as numbers. */
export interface Prefix {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly length: number;
}

/** Destination ports of a protocol, first and last included. */
export interface Ports {
  readonly protocol: PortProtocol;
  readonly first: number;
  readonly last: number;
}

/** Packets that are all judged alike: to or from a network, of all protocols or to some ports of one. */
export interface Box {
  readonly prefix: Prefix;
  /** Absent: of every protocol. */
  readonly ports?: Ports | undefined;
}

/** Of a list in which the first entry that a packet is in decides. */
export interface Entry {
  readonly verdict: "accept" | "deny";
  readonly box: Box;
}

export const EVERYONE: readonly Prefix[] = [
  { family: 4, first: 0n, length: 0 },
  { family: 6, first: 0n, length: 0 },
];

export function prefixOf(cidr: string): Prefix {
  const { address, prefix, family } = parseNetwork(cidr);
  return { family, first: ipToBigint(address), length: prefix };
}

/** Of networks that are asked about again and again. */
const texts = new WeakMap<Prefix, string>();

export function cidrOf(prefix: Prefix): string {
  let text = texts.get(prefix);
  if (text === undefined) texts.set(prefix, (text = `${bigintToIp(prefix.first, prefix.family)}/${prefix.length}`));
  return text;
}

/** More hosts than most clusters have. */
const MOST_HOSTS = 65_536;
/** Lists are made anew of the same hosts whenever one more comes or goes. */
const hosts: Readonly<Record<IpFamily, Map<bigint, Prefix>>> = { 4: new Map(), 6: new Map() };

function hostPrefix(family: IpFamily, first: bigint): Prefix {
  const known = hosts[family];
  let prefix = known.get(first);
  if (!prefix) {
    if (known.size >= MOST_HOSTS) known.clear();
    known.set(first, (prefix = { family, first, length: addressBits(family) }));
  }
  return prefix;
}

/** The fewest networks that hold exactly these addresses of one family, sorted. */
export function prefixesOf(family: IpFamily, addresses: Iterable<IpAddress>): Prefix[] {
  const bits = addressBits(family);
  const done: Prefix[] = [];
  for (const first of [...new Set([...addresses].map(ipToBigint))].toSorted((a, b) => (a < b ? -1 : 1))) {
    let prefix = hostPrefix(family, first);
    // Two halves that are both there are one network of twice the size.
    for (let before = done.at(-1); before && areHalves(before, prefix, bits); before = done.at(-1)) {
      done.pop();
      prefix = { family, first: before.first, length: prefix.length - 1 };
    }
    done.push(prefix);
  }
  return done;
}

function areHalves(low: Prefix, high: Prefix, bits: number): boolean {
  if (low.length !== high.length) return false;
  const size = 1n << BigInt(bits - low.length);
  return high.first - low.first === size && (low.first & size) === 0n;
}

/** What is in both; undefined if nothing is. */
export function intersection(a: Box, b: Box): Box | undefined {
  const prefix = common(a.prefix, b.prefix);
  if (!prefix) return undefined;
  if (!a.ports || !b.ports) return { prefix, ports: a.ports ?? b.ports };
  if (a.ports.protocol !== b.ports.protocol) return undefined;
  const first = Math.max(a.ports.first, b.ports.first);
  const last = Math.min(a.ports.last, b.ports.last);
  return first > last ? undefined : { prefix, ports: { protocol: a.ports.protocol, first, last } };
}

/** Networks are one inside the other, or apart. */
function common(a: Prefix, b: Prefix): Prefix | undefined {
  if (a.family !== b.family) return undefined;
  const [outer, inner] = a.length <= b.length ? [a, b] : [b, a];
  const host = BigInt(addressBits(a.family) - outer.length);
  return inner.first >> host === outer.first >> host ? inner : undefined;
}

export const isEverything = ({ prefix, ports }: Box): boolean => prefix.length === 0 && ports === undefined;
export const isWholeProtocol = ({ first, last }: Ports): boolean => first === 0 && last === 65_535;

export const boxKey = ({ prefix: { family, first, length }, ports: p }: Box): string =>
  `${family} ${first.toString(36)}/${length} ${p ? `${p.protocol} ${p.first}-${p.last}` : ""}`;
