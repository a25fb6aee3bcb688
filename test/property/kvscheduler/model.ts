import type { Dependency, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { MockValue } from "../../support/kvscheduler/mock-southbound.ts";

/** What a scheduler must bring about, said as simply as possible: everything is computed from scratch, every time. */
export class Model {
  /** By source, lowest precedence first. */
  readonly sources: ReadonlyMap<string, Map<Key, MockValue>>;
  /** What the southbound told of. */
  readonly observed = new Map<Key, MockValue>();
  readonly implemented: Set<string>;

  constructor(sources: readonly string[], implemented: readonly string[]) {
    this.sources = new Map(sources.map((name) => [name, new Map()]));
    this.implemented = new Set(implemented);
  }

  /** What is wanted, whether or not it can be had: base values, and what is derived from them, with the base. */
  wanted(): Map<Key, { value: MockValue; base: Key | undefined }> {
    const all = new Map<Key, { value: MockValue; base: Key | undefined }>();
    for (const source of this.sources.values()) {
      for (const [key, value] of source) all.set(key, { value, base: undefined });
    }
    const derive = (base: Key, value: MockValue): void => {
      for (const d of value.derived ?? []) {
        if (all.has(d.key)) continue;
        all.set(d.key, { value: d.value, base });
        if (this.hasDescriptor(d.key)) derive(d.key, d.value);
      }
    };
    const bases = [...all];
    for (const [key, { value }] of bases) if (this.hasDescriptor(key)) derive(key, value);
    for (const [key, value] of this.observed) {
      if (!all.has(key)) all.set(key, { value, base: undefined });
      if (all.get(key)!.value === value) derive(key, value);
    }
    return all;
  }

  /** Takes note that what is wanted by us has taken the place of what was only observed. */
  settle(): void {
    const wanted = new Set<Key>();
    for (const source of this.sources.values()) for (const key of source.keys()) wanted.add(key);
    for (let changed = true; changed; ) {
      changed = false;
      for (const [key, { base }] of this.wanted()) if (base !== undefined) wanted.add(key);
      for (const key of Array.from(this.observed.keys())) {
        const derived = this.#derivedBySomeone(key);
        if (wanted.has(key) || derived) {
          this.observed.delete(key);
          changed = true;
        }
      }
    }
  }

  #derivedBySomeone(key: Key): boolean {
    const { observed } = this;
    const value = observed.get(key)!;
    observed.delete(key);
    const found = this.wanted().has(key);
    observed.set(key, value);
    return found;
  }

  /** Everything that is to be in place: the greatest set in which everything has what it needs. */
  inPlace(): Map<Key, MockValue> {
    const wanted = this.wanted();
    const set = new Map<Key, MockValue>();
    for (const [key, { value, base }] of wanted) {
      const known = this.hasDescriptor(key) || base !== undefined;
      if (known) set.set(key, value);
    }
    const free = (key: Key): boolean => this.observed.get(key) === set.get(key);
    for (let changed = true; changed; ) {
      changed = false;
      for (const [key, value] of set) {
        if (free(key)) continue;
        const { base } = wanted.get(key)!;
        const deps = this.hasDescriptor(key) ? (value.deps ?? []) : [];
        if ((base !== undefined && !set.has(base)) || !deps.every((d) => isMet(d, set))) {
          set.delete(key);
          changed = true;
        }
      }
    }
    return set;
  }

  /** {@link inPlace} without properties: what the southbound must hold. */
  southbound(): Map<Key, MockValue["v"]> {
    const keys = [...this.inPlace()].filter(([key]) => this.hasDescriptor(key));
    return new Map(keys.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, value]) => [key, value.v]));
  }

  hasDescriptor(key: Key): boolean {
    return this.implemented.has(key.slice(0, key.indexOf("/")));
  }
}

/** Who needs whom, over all values that a step may see. */
export class Needs {
  readonly #edges = new Map<Key, Set<Key>>();
  readonly #keys = new Set<Key>();
  /** Not yet taken into account by {@link reaches}. */
  readonly #deps: [Key, Dependency][] = [];
  readonly #all: [Key, Dependency][] = [];

  get keys(): Iterable<Key> {
    return this.#keys;
  }

  add(key: Key, value: MockValue): void {
    this.#keys.add(key);
    for (const d of value.deps ?? []) {
      this.#deps.push([key, d]);
      this.#all.push([key, d]);
    }
    for (const d of value.derived ?? []) {
      this.add(d.key, d.value);
      this.#edge(d.key, key);
    }
  }

  /** Whether some value of these keys is carried by another one. */
  carriedBlindly(isBlind: (key: Key) => boolean): boolean {
    return this.#all.some(([key, d]) => isBlind(key) && "carries" in d && d.carries);
  }

  /** Whether the key is carried by something that it carries itself, in the end. */
  carriesItself(key: Key): boolean {
    const seen = new Set<Key>();
    const work = [key];
    for (let k = work.pop(); k !== undefined; k = work.pop()) {
      for (const [from, d] of this.#all) {
        if (from !== k || !("carries" in d) || !d.carries || seen.has(d.key)) continue;
        seen.add(d.key);
        work.push(d.key);
      }
    }
    return seen.has(key);
  }

  targets(d: Dependency): Key[] {
    return "key" in d ? [d.key] : [...this.#keys].filter((k) => matches(d, k));
  }

  /** Directly or not. */
  reaches(from: Key, to: Key): boolean {
    for (const [key, d] of this.#deps.splice(0)) {
      if ("key" in d) this.#edge(key, d.key);
      else this.#anyOf.push([key, d]);
    }
    const seen = new Set<Key>();
    const work = [from];
    for (let key = work.pop(); key !== undefined; key = work.pop()) {
      if (seen.has(key)) continue;
      seen.add(key);
      for (const t of this.#edges.get(key) ?? []) work.push(t);
      for (const [k, d] of this.#anyOf) if (k === key) work.push(...this.targets(d));
      if (work.includes(to)) return true;
    }
    return false;
  }

  readonly #anyOf: [Key, Dependency][] = [];

  #edge(from: Key, to: Key): void {
    let set = this.#edges.get(from);
    if (set === undefined) this.#edges.set(from, (set = new Set()));
    set.add(to);
  }
}

function isMet(d: Dependency, set: ReadonlyMap<Key, unknown>): boolean {
  if ("key" in d) return set.has(d.key);
  for (const key of set.keys()) if (matches(d, key)) return true;
  return false;
}

function matches(d: Exclude<Dependency, { key: Key }>, key: Key): boolean {
  const { prefixes, selects } = d.anyOf;
  return prefixes.some((p) => key.startsWith(p)) && (selects?.(key) ?? true);
}
