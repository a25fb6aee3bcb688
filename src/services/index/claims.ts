import type { Change } from "../api.ts";
import { compareText } from "../names.ts";

/** Since when somebody is there. */
export interface Age {
  /** Seconds since 1970; Infinity when not known. */
  readonly created: number;
  readonly uid: string;
  /** `NAMESPACE/NAME` of the owner. */
  readonly owner: string;
}

/** Somebody who wants to have what only one can have: a port of an address. */
export interface Claim<Row> {
  readonly key: string;
  readonly row: Row;
  readonly age: Age;
  /**
   * Lower is stronger, whatever the age: cluster IPs were given out by the API server, to one service each; all else is what
   * somebody wrote.
   */
  readonly rank: number;
  /** Among those of one owner. */
  readonly order: number;
  /** Where its owner says so. */
  readonly at: string;
}

/** Who has what. The older claim wins, on every node alike. */
export class Claims<Row> {
  /** A list only where there are several: most keys have one claim. The first has it. */
  readonly #byKey = new Map<string, Claim<Row> | readonly Claim<Row>[]>();
  /** Of the keys that were touched since {@link settle}: who had them. */
  readonly #before = new Map<string, Row | undefined>();
  readonly #contested = new Set<string>();
  readonly #equal: (a: Row, b: Row) => boolean;

  constructor(equal: (a: Row, b: Row) => boolean) {
    this.#equal = equal;
  }

  winner(key: string): Claim<Row> | undefined {
    return this.rivals(key)[0];
  }

  /** All who claim it, the winner first. */
  rivals(key: string): readonly Claim<Row>[] {
    const found = this.#byKey.get(key);
    return found === undefined ? [] : isList(found) ? found : [found];
  }

  replace(old: readonly Claim<Row>[], now: readonly Claim<Row>[]): void {
    for (const claim of old) this.#set(claim.key, (all) => all.filter((c) => c !== claim));
    for (const claim of now) this.#add(claim);
  }

  /** What came of the replacements since the last call: sorted changes, and owners of claims that have, or had, rivals. */
  settle(): { readonly changes: Change<Row>[]; readonly contested: ReadonlySet<string> } {
    const changes: Change<Row>[] = [];
    for (const [key, old] of [...this.#before].sort(([a], [b]) => compareText(a, b))) {
      const now = this.winner(key)?.row;
      if (old === undefined && now === undefined) continue;
      if (old === undefined || now === undefined || !this.#equal(old, now)) changes.push({ old, new: now });
    }
    const contested = new Set(this.#contested);
    this.#before.clear();
    this.#contested.clear();
    return { changes, contested };
  }

  /** Sorted by key. */
  rows(): Row[] {
    return [...this.#byKey.keys()].sort(compareText).flatMap((key) => this.winner(key)?.row ?? []);
  }

  get size(): number {
    return this.#byKey.size;
  }

  #add(claim: Claim<Row>): void {
    const { key } = claim;
    if (this.#byKey.has(key)) return this.#set(key, (all) => [...all, claim].sort(firstWins));
    if (!this.#before.has(key)) this.#before.set(key, undefined);
    this.#byKey.set(key, claim);
  }

  #set(key: string, change: (all: readonly Claim<Row>[]) => readonly Claim<Row>[]): void {
    const all = this.rivals(key);
    if (!this.#before.has(key)) this.#before.set(key, all[0]?.row);
    const now = change(all);
    for (const claims of [all, now]) if (claims.length > 1) for (const c of claims) this.#contested.add(c.age.owner);
    const [first] = now;
    if (first === undefined) this.#byKey.delete(key);
    else this.#byKey.set(key, now.length === 1 ? first : now);
  }
}

/** Changes of rows that came one after the other, as one each; sorted by key. */
export function mergeChanges<Row>(
  first: readonly Change<Row>[],
  second: readonly Change<Row>[],
  keyOf: (row: Row) => string,
  equal: (a: Row, b: Row) => boolean,
): readonly Change<Row>[] {
  if (second.length === 0) return first;
  const byKey = new Map<string, Change<Row>>();
  for (const change of [...first, ...second]) {
    const row = change.new ?? change.old;
    if (row === undefined) continue;
    const before = byKey.get(keyOf(row));
    byKey.set(keyOf(row), before ? { old: before.old, new: change.new } : change);
  }
  return [...byKey]
    .filter(([, { old, new: now }]) => (old === undefined || now === undefined ? old !== now : !equal(old, now)))
    .sort(([a], [b]) => compareText(a, b))
    .map(([, change]) => change);
}

const isList = <T>(x: T | readonly T[]): x is readonly T[] => Array.isArray(x);

const firstWins = (a: Claim<unknown>, b: Claim<unknown>): number =>
  a.rank - b.rank || compareAge(a.age, b.age) || a.order - b.order;

/** The older first. Among those of one second the UID decides, which is as good as any but the same everywhere. */
export const compareAge = (a: Age, b: Age): number =>
  (a.created === b.created ? 0 : a.created - b.created) || compareText(a.uid, b.uid) || compareText(a.owner, b.owner);
