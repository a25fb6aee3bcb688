import { familyOf, type IpFamily } from "../../base/ip/address.ts";
import { elementKey, type SetChange, type SetElement, type SetRow } from "../api.ts";
import type { Scope } from "../compile/compiled.ts";
import { kindOf, type SetQuery } from "./query.ts";
import type { NamespaceRecord } from "./records.ts";

/** A scope that live sets use, and these sets, filed under what a pod must have to be in them. */
export interface ScopeIndex {
  readonly key: string;
  readonly scope: Scope;
  readonly namespaces: Set<NamespaceRecord>;
  readonly sets: Set<PeerSet>;
  /** By {@link Selector.anchors}. */
  readonly byLabel: Map<string, Set<PeerSet>>;
  /** By the name of a port. */
  readonly byPort: Map<string, Set<PeerSet>>;
  readonly rest: Set<PeerSet>;
}

/** A set that is in use, with its elements, and what has happened to it since it was last asked. */
export class PeerSet {
  readonly query: SetQuery;
  readonly scope: ScopeIndex;
  /** Tables that use it. */
  users = 0;
  readonly #elements: Readonly<Record<IpFamily, Map<string, SetElement>>> = { 4: new Map(), 6: new Map() };
  /** Net, since the last {@link takeChanges}; in a new set not kept. */
  readonly #added = new Map<string, SetElement>();
  readonly #removed = new Map<string, SetElement>();
  #isNew = true;

  constructor(query: SetQuery, scope: ScopeIndex) {
    this.query = query;
    this.scope = scope;
  }

  /** The element is not in it: every address counts for one pod, and removals come first. */
  add(e: SetElement): void {
    const key = elementKey(e);
    this.#elements[familyOf(e.ip)].set(key, e);
    if (!this.#isNew && !this.#removed.delete(key)) this.#added.set(key, e);
  }

  remove(e: SetElement): void {
    const key = elementKey(e);
    this.#elements[familyOf(e.ip)].delete(key);
    if (!this.#isNew && !this.#added.delete(key)) this.#removed.set(key, e);
  }

  has(e: SetElement): boolean {
    return this.#elements[familyOf(e.ip)].has(elementKey(e));
  }

  rows(): SetRow[] {
    return FAMILIES.map((family) => ({
      id: this.query.id,
      kind: kindOf(this.query),
      family,
      elements: sorted(this.#elements[family]),
    }));
  }

  takeChanges(): SetChange[] {
    const what = this.#isNew ? "created" : "changed";
    const changes = FAMILIES.map(
      (family): SetChange => ({
        id: this.query.id,
        kind: kindOf(this.query),
        family,
        what,
        added: sorted(this.#isNew ? this.#elements[family] : ofFamily(this.#added, family)),
        removed: sorted(ofFamily(this.#removed, family)),
      }),
    );
    const isNew = this.#isNew;
    this.#isNew = false;
    this.#added.clear();
    this.#removed.clear();
    return changes.filter((c) => isNew || c.added.length + c.removed.length > 0);
  }

  /** The changes of a set that goes, if it ever came: all that was told of it is removed. */
  gone(): SetChange[] {
    if (this.#isNew) return [];
    const { id } = this.query;
    return FAMILIES.map((family): SetChange => {
      const known = new Map([...this.#elements[family]].filter(([key]) => !this.#added.has(key)));
      for (const [key, e] of ofFamily(this.#removed, family)) known.set(key, e);
      return { id, kind: kindOf(this.query), family, what: "deleted", added: [], removed: sorted(known) };
    });
  }
}

const FAMILIES = [4, 6] as const;

const ofFamily = (elements: ReadonlyMap<string, SetElement>, family: IpFamily): Map<string, SetElement> =>
  new Map([...elements].filter(([, e]) => familyOf(e.ip) === family));

const sorted = (elements: ReadonlyMap<string, SetElement>): SetElement[] =>
  [...elements].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, e]) => e);
