import {
  addressBits,
  bigintToIp,
  familyOf,
  type IpAddress,
  type IpFamily,
  ipToBigint,
} from "../../../base/ip/address.ts";
import { parseNetwork } from "../../../base/ip/cidr.ts";

/** A network of peers. Mostly the same object for the same network, so that what was made of it once is found by it. */
export class Prefix {
  readonly family: IpFamily;
  readonly first: bigint;
  readonly length: number;
  /** The number behind its last address. */
  readonly end: bigint;
  #text: string | undefined;
  #twice: Prefix | undefined;
  readonly #isLow: boolean;

  constructor(family: IpFamily, first: bigint, length: number, text?: string) {
    const size = 1n << BigInt(addressBits(family) - length);
    this.family = family;
    this.first = first;
    this.length = length;
    this.end = first + size;
    this.#isLow = length > 0 && (first & size) === 0n;
    this.#text = text;
  }

  /** Canonical: equal exactly for the same network. */
  get text(): string {
    return (this.#text ??= `${bigintToIp(this.first, this.family)}/${this.length}`);
  }

  /** Itself, too. Both of one family. */
  contains(other: Prefix): boolean {
    return other.length >= this.length && other.first >= this.first && other.first < this.end;
  }

  /** The network of this one and `next`, if these are its halves. */
  with(next: Prefix): Prefix | undefined {
    if (!this.#isLow || this.length !== next.length || this.end !== next.first) return undefined;
    return (this.#twice ??= new Prefix(this.family, this.first, this.length - 1));
  }

  /** The fewest networks that hold everything of this one but `inner`, which is in it; sorted. */
  without(inner: Prefix): Prefix[] {
    if (this.length === inner.length) return [];
    const [low, high] = this.#halves();
    return low.contains(inner) ? [...low.without(inner), high] : [low, ...high.without(inner)];
  }

  #halves(): readonly [Prefix, Prefix] {
    const low = new Prefix(this.family, this.first, this.length + 1);
    return [low, new Prefix(this.family, low.end, this.length + 1)];
  }
}

export const EVERYONE: readonly [Prefix, Prefix] = [new Prefix(4, 0n, 0), new Prefix(6, 0n, 0)];

/** More than most clusters have hosts. */
const MOST = 65_536;
/** Lists are made anew of the same networks whenever one more comes or goes. */
const known = new Map<string, Prefix>();

function remembered(text: string, make: () => Prefix): Prefix {
  let prefix = known.get(text);
  if (!prefix) {
    if (known.size >= MOST) known.clear();
    known.set(text, (prefix = make()));
  }
  return prefix;
}

/** `cidr`: canonical. */
export const prefixOf = (cidr: string): Prefix =>
  remembered(cidr, () => {
    const { address, prefix, family } = parseNetwork(cidr);
    return new Prefix(family, ipToBigint(address), prefix);
  });

/** An address as a network of its own. */
export const hostPrefix = (ip: IpAddress): Prefix =>
  remembered(ip, () => {
    const family = familyOf(ip);
    const bits = addressBits(family);
    return new Prefix(family, ipToBigint(ip), bits, `${ip}/${bits}`);
  });

/** By the first address; networks stand before those that are in them. Of one family. */
export const byPlace = (a: Prefix, b: Prefix): number =>
  a.first < b.first ? -1 : a.first > b.first ? 1 : a.length - b.length;

/** The fewest networks that hold exactly these addresses, all of one family; sorted. */
export function prefixesOf(addresses: readonly IpAddress[]): Prefix[] {
  const done: Prefix[] = [];
  for (let prefix of [...new Set(addresses)].map(hostPrefix).sort(byPlace)) {
    // Two halves that are both there are one network of twice the size.
    for (let twice = done.at(-1)?.with(prefix); twice; twice = done.at(-1)?.with(prefix)) {
      done.pop();
      prefix = twice;
    }
    done.push(prefix);
  }
  return done;
}
