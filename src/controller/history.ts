import type { ControllerEvent } from "./api.ts";

/** One handled event. */
export interface EventRecord {
  readonly seq: number;
  readonly kind: string;
  readonly description: string;
  /** Wall-clock milliseconds. */
  readonly at: number;
  /** The scheduler's transaction. */
  txn?: number | undefined;
  outcome?: string;
  ms?: number;
}

/** The last `bound` events. */
export class EventHistory {
  readonly #bound: number;
  readonly #ring: EventRecord[] = [];
  #seq = 0;

  constructor(bound: number) {
    this.#bound = bound;
  }

  begin(event: ControllerEvent, at: number): EventRecord {
    const record: EventRecord = { seq: ++this.#seq, kind: event.kind, description: event.describe(), at };
    this.#ring[(record.seq - 1) % this.#bound] = record;
    return record;
  }

  end(record: EventRecord, outcome: string, ms: number): void {
    record.outcome = outcome;
    record.ms = ms;
  }

  /** Oldest first. */
  list(): EventRecord[] {
    return this.#ring.toSorted((a, b) => a.seq - b.seq);
  }
}
