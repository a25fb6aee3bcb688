import type { HistoryGap, StorableTxn } from "../api/history.ts";

export type Item = { readonly txn: StorableTxn } | { readonly gap: HistoryGap };

/**
 * What waits to be written, in the order of numbers, bounded. What does not fit is dropped, and a gap stands in its
 * place.
 */
export class WriteQueue {
  readonly #bounds: { readonly count: number; readonly bytes: number };
  #items: Item[] = [];
  #count = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(bounds: { readonly count: number; readonly bytes: number }) {
    this.#bounds = bounds;
  }

  get length(): number {
    return this.#items.length;
  }

  /** Transactions that were dropped. */
  get dropped(): number {
    return this.#dropped;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  /** Returns false when the transaction is the first one of a run that is dropped. */
  add(txn: StorableTxn): boolean {
    const { count, bytes } = this.#bounds;
    if (this.#count < count && (this.#count === 0 || this.#bytes + txn.bytes <= bytes)) {
      this.#items.push({ txn });
      this.#count++;
      this.#bytes += txn.bytes;
      return true;
    }
    this.#dropped++;
    const last = this.#items.at(-1);
    const extends_ = last !== undefined && "gap" in last;
    const gap = { first: txn.seq, last: txn.seq, count: 1 };
    if (extends_) this.#items[this.#items.length - 1] = { gap: joined([last.gap, gap])! };
    else this.#items.push({ gap });
    return extends_;
  }

  take(): Item | undefined {
    const item = this.#items.shift();
    if (item !== undefined && "txn" in item) {
      this.#count--;
      this.#bytes -= item.txn.bytes;
    }
    return item;
  }

  /** What had been taken could not be written: one gap stands for it, before everything that waits. */
  lose(taken: readonly Item[]): void {
    const gaps: HistoryGap[] = [];
    for (const item of taken) {
      if ("gap" in item) {
        gaps.push(item.gap);
      } else {
        gaps.push({ first: item.txn.seq, last: item.txn.seq, count: 1 });
        this.#dropped++;
      }
    }
    const next = this.#items[0];
    if (next !== undefined && "gap" in next) {
      gaps.push(next.gap);
      this.#items.shift();
    }
    const gap = joined(gaps);
    if (gap !== undefined) this.#items.unshift({ gap });
  }
}

/** One gap for several that follow each other. */
function joined(gaps: readonly HistoryGap[]): HistoryGap | undefined {
  const first = gaps[0];
  if (first === undefined) return undefined;
  return { first: first.first, last: gaps.at(-1)!.last, count: gaps.reduce((sum, g) => sum + g.count, 0) };
}
