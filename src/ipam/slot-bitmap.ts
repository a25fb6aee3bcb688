/**
 * A set of slots that finds its next clear one in a few steps however full it is: above the bits lie levels in which each
 * bit says "this word of the level below is full". 65,536 slots take 8.3 KiB and four levels.
 */
export class SlotBitmap {
  readonly size: number;
  readonly #levels: Uint32Array[] = [];

  constructor(size: number) {
    this.size = size;
    for (let bits = size; ; bits = Math.ceil(bits / 32)) {
      const level = new Uint32Array(Math.max(1, Math.ceil(bits / 32)));
      // Bits past the end count as set, so that no search ends there.
      if (bits % 32 !== 0 || bits === 0) level[level.length - 1] = -1 << (bits % 32);
      this.#levels.push(level);
      if (level.length === 1) break;
    }
  }

  has(slot: number): boolean {
    return ((this.#levels[0]?.[slot >>> 5] ?? FULL) & (1 << (slot & 31))) !== 0;
  }

  set(slot: number): void {
    let at = slot;
    for (const level of this.#levels) {
      const word = ((level[at >>> 5] ?? FULL) | (1 << (at & 31))) >>> 0;
      level[at >>> 5] = word;
      if (word !== FULL) return;
      at >>>= 5;
    }
  }

  clear(slot: number): void {
    let at = slot;
    for (const level of this.#levels) {
      const word = level[at >>> 5] ?? FULL;
      level[at >>> 5] = word & ~(1 << (at & 31));
      if (word !== FULL) return;
      at >>>= 5;
    }
  }

  /** The first clear slot that is not below `from`, or -1. */
  nextClear(from: number): number {
    let at = from;
    for (const [depth, level] of this.#levels.entries()) {
      const word = at >>> 5;
      if (word >= level.length) return -1;
      const clear = ~(level[word] ?? FULL) & (-1 << (at & 31));
      if (clear !== 0) return this.#descend(depth, word * 32 + lowestBit(clear));
      at = word + 1;
    }
    return -1;
  }

  /** From a bit that says "this word is not full" down to the slot. */
  #descend(depth: number, bit: number): number {
    let at = bit;
    for (let d = depth - 1; d >= 0; d--) at = at * 32 + lowestBit(~(this.#levels[d]?.[at] ?? FULL));
    return at;
  }
}

const FULL = 0xffff_ffff;

const lowestBit = (word: number): number => 31 - Math.clz32(word & -word);
