import type { Key } from "../api/descriptor.ts";
import type { Node } from "./node.ts";

/** Which nodes have an any-of dependency on which prefix. A look-up costs one hash per distinct length of prefix. */
export class PrefixWatchers {
  readonly #byPrefix = new Map<Key, Set<Node>>();
  /** Distinct lengths of prefix with the number of prefixes that have them. */
  readonly #lengths = new Map<number, number>();

  get size(): number {
    return this.#byPrefix.size;
  }

  add(prefix: Key, node: Node): void {
    let set = this.#byPrefix.get(prefix);
    if (set === undefined) {
      set = new Set();
      this.#byPrefix.set(prefix, set);
      this.#lengths.set(prefix.length, (this.#lengths.get(prefix.length) ?? 0) + 1);
    }
    set.add(node);
  }

  delete(prefix: Key, node: Node): void {
    const set = this.#byPrefix.get(prefix);
    if (set === undefined) return;
    set.delete(node);
    if (set.size > 0) return;
    this.#byPrefix.delete(prefix);
    const left = this.#lengths.get(prefix.length)! - 1;
    if (left > 0) this.#lengths.set(prefix.length, left);
    else this.#lengths.delete(prefix.length);
  }

  /** Calls `visit` for every node that watches a prefix of `key`, more than once if it watches several; returns how
   * often. */
  forEach(key: Key, visit: (node: Node) => void): number {
    if (this.#byPrefix.size === 0) return 0;
    let visits = 0;
    for (const length of this.#lengths.keys()) {
      if (length > key.length) continue;
      const set = this.#byPrefix.get(length === key.length ? key : key.slice(0, length));
      if (set === undefined) continue;
      visits += set.size;
      for (const node of set) visit(node);
    }
    return visits;
  }
}
