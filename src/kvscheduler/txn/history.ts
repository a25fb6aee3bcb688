import type { Duration } from "../../base/clock/clock.ts";
import type { TxnRecord } from "./record.ts";

export interface HistoryBounds {
  /** Transactions. Default 1000. */
  readonly count?: number;
  /** Estimated bytes kept alive. Default 8 MiB. */
  readonly bytes?: number;
  /** Age. Default 24 hours. */
  readonly age?: Duration;
}

/** The last transactions, bounded by count, bytes and age; the oldest go first. */
export class History {
  readonly #count: number;
  readonly #maxBytes: number;
  readonly #age: number;
  #records: TxnRecord[] = [];
  /** The records before this index are gone; they are cut off in blocks. */
  #start = 0;
  #bytes = 0;

  constructor(bounds: HistoryBounds = {}) {
    this.#count = Math.max(0, bounds.count ?? 1000);
    this.#maxBytes = bounds.bytes ?? 8 * 1024 * 1024;
    this.#age = bounds.age ?? 24 * 3600 * 1000;
  }

  add(full: TxnRecord): void {
    // One record may take half of the room at most; it is the caller's copy that stays complete.
    const share = this.#maxBytes / 2 / full.bytes;
    const record = share < 1 ? full.shortened(Math.max(1, Math.floor(full.length * share))) : full;
    this.#records.push(record);
    this.#bytes += record.bytes;
    this.#trim(record.endedAt);
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
    }
    if (this.#start > 256 && this.#start * 2 > this.#records.length) {
      this.#records = this.#records.slice(this.#start);
      this.#start = 0;
    }
  }
}
