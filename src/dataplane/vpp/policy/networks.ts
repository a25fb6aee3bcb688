import type { IpAddress, IpFamily } from "../../../base/ip/address.ts";
import { memo } from "../../../base/memo/memo.ts";
import type { AclRule } from "../../../models/vpp/acl.ts";
import { byPlace, EVERYONE, hostPrefix, type Prefix, prefixesOf } from "./prefix.ts";

type MakeRule = (prefix: Prefix) => AclRule;

/** What one change of a list puts in the place of what. */
interface Splice {
  readonly at: number;
  readonly gone: number;
  readonly come: readonly Prefix[];
}

/**
 * Networks of one family: sorted, none in another. They never change, and remember the rules that were made of them: those
 * of networks that came from them by a change are a copy of these, with that change. So the many lists that are about the
 * same large set share what is made of it, and an address that comes or goes costs none of them more than a copy.
 */
export class Networks {
  readonly family: IpFamily;
  /** At least one. */
  readonly prefixes: readonly Prefix[];
  readonly #rules = new Map<string, readonly AclRule[]>();
  readonly #splices: readonly Splice[];
  readonly #rulesBefore: (kind: string, make: MakeRule) => readonly AclRule[] | undefined;

  private constructor(
    family: IpFamily,
    prefixes: readonly Prefix[],
    splices: readonly Splice[] = [],
    rulesBefore: (kind: string, make: MakeRule) => readonly AclRule[] | undefined = () => undefined,
  ) {
    this.family = family;
    this.prefixes = prefixes;
    this.#splices = splices;
    this.#rulesBefore = rulesBefore;
  }

  /** The fewest that hold exactly these addresses, all of one family; undefined if there are none. */
  static of(addresses: readonly IpAddress[]): Networks | undefined {
    return Networks.#of(prefixesOf(addresses));
  }

  /** Those of each family, none of which is in another. The same for the same array, which must not change. */
  static readonly disjoint = memo((prefixes: readonly Prefix[]): readonly Networks[] =>
    ([4, 6] as const).flatMap(
      (f) => Networks.#of(prefixes.filter(({ family }) => family === f).toSorted(byPlace)) ?? [],
    ),
  );

  /** The same for the same prefix. */
  static readonly one = memo((prefix: Prefix): Networks => new Networks(prefix.family, [prefix]));

  static #of(prefixes: readonly Prefix[]): Networks | undefined {
    const [first] = prefixes;
    return first && new Networks(first.family, prefixes);
  }

  get isEverybody(): boolean {
    return this.prefixes[0]?.length === 0;
  }

  /** A rule of each, in their order. `kind`: all that the rules depend on besides the network. */
  rules(kind: string, make: MakeRule): readonly AclRule[] {
    let rules = this.#rules.get(kind);
    if (!rules) {
      const before = this.#rulesBefore(kind, make);
      rules = before ? spliced(before, this.#splices, make) : this.prefixes.map(make);
      this.#rules.set(kind, rules);
    }
    return rules;
  }

  has(prefix: Prefix): boolean {
    return this.#placeOf(prefix) !== undefined;
  }

  /**
   * The fewest that hold what these do, with and without some addresses. Undefined: none. Addresses that are there already,
   * or aren't, change nothing; `this` if none does.
   */
  changed(added: readonly IpAddress[], removed: readonly IpAddress[]): Networks | undefined {
    const prefixes = [...this.prefixes];
    const splices: Splice[] = [];
    const splice = (at: number, gone: number, come: readonly Prefix[]): void => {
      prefixes.splice(at, gone, ...come);
      splices.push({ at, gone, come });
    };
    for (const host of removed.map(hostPrefix)) {
      const at = placeBefore(prefixes, host.first);
      const around = prefixes[at];
      if (around?.contains(host)) splice(at, 1, around.without(host));
    }
    for (const host of added.map(hostPrefix)) {
      let at = placeBefore(prefixes, host.first);
      if (prefixes[at]?.contains(host)) continue;
      at++;
      let [prefix, gone] = [host, 0];
      // Two halves that are both there are one network of twice the size.
      for (;;) {
        const withLower = prefixes[at - 1]?.with(prefix);
        const upper = prefixes[at + gone];
        const twice = withLower ?? (upper && prefix.with(upper));
        if (!twice) break;
        if (withLower) at--;
        gone++;
        prefix = twice;
      }
      splice(at, gone, [prefix]);
    }
    if (splices.length === 0) return this;
    // Only of the rules, or every state that there has been would stay.
    const rules = this.#rules;
    return prefixes.length === 0 ? undefined : new Networks(this.family, prefixes, splices, (kind) => rules.get(kind));
  }

  /** Without those of them; undefined if none is left. `this` if it has none of them. */
  except(others: Iterable<Prefix>): Networks | undefined {
    const places = new Set<number>();
    for (const other of others) {
      const place = this.#placeOf(other);
      if (place !== undefined) places.add(place);
    }
    if (places.size === 0) return this;
    if (places.size === this.prefixes.length) return undefined;
    const prefixes = this.prefixes.filter((_, i) => !places.has(i));
    // From behind, so that places stay what they are.
    const splices = [...places].sort((a, b) => b - a).map((at): Splice => ({ at, gone: 1, come: [] }));
    return new Networks(this.family, prefixes, splices, (kind, make) => this.rules(kind, make));
  }

  /** What is in both; undefined if nothing is. */
  within(other: Networks): Networks | undefined {
    if (this.family !== other.family) return undefined;
    if (this === other || other.isEverybody) return this;
    if (this.isEverybody) return other;
    const [few, many] = this.prefixes.length < other.prefixes.length ? [this, other] : [other, this];
    return Networks.#of(few.prefixes.flatMap((prefix) => many.#in(prefix)));
  }

  #in(prefix: Prefix): readonly Prefix[] {
    const at = placeBefore(this.prefixes, prefix.first);
    if (this.prefixes[at]?.contains(prefix)) return [prefix];
    const from = this.prefixes[at]?.first === prefix.first ? at : at + 1;
    return this.prefixes.slice(from, placeBefore(this.prefixes, prefix.end - 1n) + 1);
  }

  #placeOf(prefix: Prefix): number | undefined {
    const at = placeBefore(this.prefixes, prefix.first);
    const found = this.prefixes[at];
    return found?.first === prefix.first && found.length === prefix.length ? at : undefined;
  }
}

export const EVERYBODY = { 4: Networks.one(EVERYONE[0]), 6: Networks.one(EVERYONE[1]) } as const;

/** Of the last one that begins at the address or before it; -1 if there is none. */
function placeBefore(prefixes: readonly Prefix[], address: bigint): number {
  let [low, high] = [0, prefixes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((prefixes[middle] as Prefix).first <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function spliced(rules: readonly AclRule[], splices: readonly Splice[], make: MakeRule): readonly AclRule[] {
  const copy = [...rules];
  for (const { at, gone, come } of splices) copy.splice(at, gone, ...come.map(make));
  return copy;
}
