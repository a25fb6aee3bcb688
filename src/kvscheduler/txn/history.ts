import type { Duration } from "../../base/clock/clock.ts";
import { toError } from "../../base/errors/errors.ts";
import type { HistoryStore } from "../api/history.ts";
import type { TxnRecord } from "./record.ts";

/** What the history keeps in memory, and where records go beyond that. */
export interface HistoryOptions {
  /** Transactions. Default 1000. */
  readonly count?: number;
  /** Estimated bytes kept alive. Default 8 MiB. */
  readonly bytes?: number;
  /** Age. Default 24 hours. */
  readonly age?: Duration;
  /** Is given every record, too. None if absent. */
  readonly store?: HistoryStore;
}

/** The last transactions, bounded by count, bytes and age; the oldest go first. */
export class History {
  readonly #count: number;
  readonly #maxBytes: number;
  readonly #age: number;
  readonly #store: HistoryStore | undefined;
  readonly #onStoreError: (error: Error) => void;
  #records: TxnRecord[] = [];
  /** The records before this index are gone; they are cut off in blocks. */
  #start = 0;
  #bytes = 0;
  #dropped = 0;

  constructor(options: HistoryOptions = {}, onStoreError: (error: Error) => void = () => undefined) {
    this.#count = Math.max(0, options.count ?? 1000);
    this.#maxBytes = options.bytes ?? 8 * 1024 * 1024;
    this.#age = options.age ?? 24 * 3600 * 1000;
    this.#store = options.store;
    this.#onStoreError = onStoreError;
  }

  add(full: TxnRecord): void {
    // One record may take half of the room at most; it is the caller's copy that stays complete.
    const share = this.#maxBytes / 2 / full.bytes;
    const record = share < 1 ? full.shortened(Math.max(1, Math.floor(full.length * share))) : full;
    this.#records.push(record);
    this.#bytes += record.bytes;
    this.#trim(record.endedAt);
    if (this.#store === undefined) return;
    try {
      this.#store.add(full);
    } catch (e) {
      this.#onStoreError(toError(e));
    }
  }

  get size(): { readonly transactions: number; readonly bytes: number; readonly dropped: number } {
    return { transactions: this.#records.length - this.#start, bytes: this.#bytes, dropped: this.#dropped };
  }

  list(): readonly TxnRecord[] {
    return this.#records.slice(this.#start);
  }

  #trim(wall: number): void {
    while (this.#start < this.#records.length) {
      const oldest = this.#records[this.#start]!;
      const length = this.#records.length - this.#start;
      if (length <= this.#count && this.#bytes <= this.#maxBytes && wall - oldest.endedAt <= this.#age) break;
      this.#bytes -= oldest.bytes;
      this.#records[this.#start] = undefined as never; // let go now, cut off later
      this.#start++;
      this.#dropped++;
    }
    if (this.#start > 256 && this.#start * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#start);
      this.#start = 0;
    }
  }
}
