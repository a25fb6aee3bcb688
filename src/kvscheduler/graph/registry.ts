import type { CommitGroup, Descriptor, Key } from "../api/descriptor.ts";
import { DescriptorError } from "../api/errors.ts";
import { plainEqual } from "./equal.ts";

/** A registered descriptor. */
export interface Entry {
  readonly name: string;
  readonly api: Descriptor;
  readonly group: CommitGroup | undefined;
  /** Position in the order of registration. */
  readonly index: number;
}

/** The registered descriptors, by name and by key. */
export class Registry {
  readonly #byName = new Map<string, Entry>();
  /** Sorted. No prefix is the beginning of another, so the greatest one not after a key is the only candidate. */
  #prefixes: { readonly prefix: Key; readonly entry: Entry }[] = [];

  get entries(): Iterable<Entry> {
    return this.#byName.values();
  }

  byName(name: string): Entry | undefined {
    return this.#byName.get(name);
  }

  /** @throws DescriptorError naming the defect; then nothing is registered. */
  register(api: Descriptor): Entry {
    this.#check(api);
    const entry: Entry = { name: api.name, api, group: api.group, index: this.#byName.size };
    this.#byName.set(api.name, entry);
    try {
      this.retrieveOrder();
    } catch (e) {
      this.#byName.delete(api.name);
      throw e;
    }
    for (const prefix of api.keyPrefixes) this.#prefixes.push({ prefix, entry });
    this.#prefixes.sort((a, b) => (a.prefix < b.prefix ? -1 : 1));
    return entry;
  }

  /** The descriptor that owns `key`. */
  forKey(key: Key): Entry | undefined {
    const list = this.#prefixes;
    let low = 0;
    let high = list.length;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (list[mid]!.prefix <= key) low = mid + 1;
      else high = mid;
    }
    const found = list[low - 1];
    return found !== undefined && key.startsWith(found.prefix) ? found.entry : undefined;
  }

  /**
   * Descriptors with `retrieve` in layers: those of one layer may run at once, after all of the layers before.
   * @throws DescriptorError if `retrieveAfter` has a cycle
   */
  retrieveOrder(): Entry[][] {
    const depth = new Map<Entry, number>();
    const path: Entry[] = [];
    const visit = (e: Entry): number => {
      const known = depth.get(e);
      if (known !== undefined) return known;
      if (path.includes(e)) {
        const cycle = [...path.slice(path.indexOf(e)), e].map((x) => x.name).join(" -> ");
        throw new DescriptorError(`retrieveAfter has a cycle: ${cycle}; remove one of these`);
      }
      path.push(e);
      let d = 0;
      for (const name of e.api.retrieveAfter ?? []) {
        const before = this.#byName.get(name);
        if (before !== undefined) d = Math.max(d, visit(before) + 1);
      }
      path.pop();
      depth.set(e, d);
      return d;
    };
    const layers: Entry[][] = [];
    for (const e of this.#byName.values()) {
      const d = visit(e);
      if (e.api.retrieve !== undefined) (layers[d] ??= []).push(e);
    }
    return layers.filter((l) => l !== undefined && l.length > 0);
  }

  #check(api: Descriptor): void {
    const fail = (why: string): never => {
      throw new DescriptorError(`descriptor ${JSON.stringify(api.name)}: ${why}`);
    };
    if (typeof api.name !== "string" || api.name === "") fail("has no name");
    if (this.#byName.has(api.name)) fail("a descriptor of this name is registered already");
    if (!Array.isArray(api.keyPrefixes) || api.keyPrefixes.length === 0) fail("has no key prefix");
    for (const [i, p] of api.keyPrefixes.entries()) {
      if (typeof p !== "string" || p === "") fail("has an empty key prefix");
      for (const q of api.keyPrefixes.slice(0, i)) {
        if (p.startsWith(q) || q.startsWith(p)) fail(`its prefixes ${q} and ${p} overlap`);
      }
      for (const other of this.#prefixes) {
        if (p.startsWith(other.prefix) || other.prefix.startsWith(p)) {
          fail(`its prefix ${p} overlaps with ${other.prefix} of descriptor ${other.entry.name}`);
        }
      }
    }
    if (api.group === undefined) {
      if (typeof api.create !== "function") fail("has no create");
      if (typeof api.delete !== "function") fail("has no delete");
    } else {
      if (typeof api.group.commit !== "function") fail("its group has no commit");
      if (api.group.maxOps !== undefined && !(api.group.maxOps >= 1)) fail("its group's maxOps is not positive");
      for (const e of this.#byName.values()) {
        if (e.group !== undefined && e.group !== api.group && e.group.name === api.group.name) {
          fail(`its group ${api.group.name} is another object than that of descriptor ${e.name}`);
        }
      }
    }
    if (api.retrieveOne !== undefined && typeof api.retrieveOne !== "function") fail("retrieveOne is not a function");
    if (api.retrieve !== undefined && typeof api.retrieve !== "function") fail("retrieve is not a function");
    if (api.concurrency !== undefined && !(api.concurrency >= 1)) fail("concurrency is not positive");
    if (api.deadline !== undefined && !(api.deadline > 0)) fail("deadline is not positive");
  }
}

/** Whether two values of a key are the same for its descriptor. A comparison that throws counts as different. */
export function equivalent(entry: Entry | undefined, key: Key, a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  try {
    const api = entry?.api;
    if (api?.equivalent === undefined) return plainEqual(a, b);
    const answer: unknown = api.equivalent(key, a, b);
    return answer === true; // a promise, for one, is no answer
  } catch {
    return false;
  }
}
