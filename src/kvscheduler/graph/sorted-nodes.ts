import type { Key } from "../api/descriptor.ts";
import type { Node } from "./node.ts";

/** Above this a chunk is cut in two. Small enough that moving its entries costs less than finding the place. */
const MAX_CHUNK = 512;

/** Nodes sorted by key, for prefix look-ups: a list of sorted chunks. Insert, remove and find in O(log n). */
export class SortedNodes {
  readonly #chunks: Node[][] = [[]];

  add(node: Node): void {
    const c = this.#chunkOf(node.key);
    const chunk = this.#chunks[c]!;
    const i = lowerBound(chunk, node.key);
    if (chunk[i]?.key === node.key) return;
    chunk.splice(i, 0, node);
    if (chunk.length > MAX_CHUNK) this.#chunks.splice(c + 1, 0, chunk.splice(MAX_CHUNK / 2));
  }

  delete(node: Node): void {
    const c = this.#chunkOf(node.key);
    const chunk = this.#chunks[c]!;
    const i = lowerBound(chunk, node.key);
    if (chunk[i] !== node) return;
    chunk.splice(i, 1);
    if (chunk.length === 0 && this.#chunks.length > 1) this.#chunks.splice(c, 1);
  }

  /** Whether `test` holds for a node whose key begins with `prefix`; tried in the order of keys. */
  some(prefix: Key, test: (node: Node) => boolean): boolean {
    let c = this.#chunkOf(prefix);
    let i = lowerBound(this.#chunks[c]!, prefix);
    for (;;) {
      const chunk = this.#chunks[c];
      if (chunk === undefined) return false;
      for (; i < chunk.length; i++) {
        const node = chunk[i]!;
        if (!node.key.startsWith(prefix)) return false;
        if (test(node)) return true;
      }
      c++;
      i = 0;
    }
  }

  /** The last chunk that can hold `key`: the last one whose first key is not after it. */
  #chunkOf(key: Key): number {
    let low = 1;
    let high = this.#chunks.length;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (this.#chunks[mid]![0]!.key <= key) low = mid + 1;
      else high = mid;
    }
    return low - 1;
  }
}

function lowerBound(chunk: readonly Node[], key: Key): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const mid = (low + high) >>> 1;
    if (chunk[mid]!.key < key) low = mid + 1;
    else high = mid;
  }
  return low;
}
