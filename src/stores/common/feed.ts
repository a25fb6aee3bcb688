import type { Clock, Duration } from "../../base/clock/clock.ts";
import type { Entry, Position, StoreChange, Watch, WatchItem } from "../api/store.ts";
import { compareKeys } from "./keys.ts";

/** A key's new state: its entry, or that it is gone. */
export type FeedEvent = readonly [key: string, entry: Entry | undefined];

export interface FeedOptions {
  readonly clock: Clock;
  /** How long one {@link Feed.confirm} counts; for ever if absent. */
  readonly confirmFor?: Duration;
  /** Ends the watch with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called once, when the consumer, the signal or the producer has ended the watch. Awaited by `close()`. */
  readonly onClose: () => Promise<void> | void;
}

export interface SnapshotFlags {
  readonly rewound?: boolean;
  readonly fromMirror?: boolean;
}

/**
 * The half of a watch that every store has in common: a producer puts in what it learns, a consumer takes out items,
 * each relative to what it took before. What waits is one state per key, however slow the consumer is.
 */
export class Feed implements Watch {
  readonly #clock: Clock;
  readonly #onClose: () => Promise<void> | void;
  readonly #signal: AbortSignal | undefined;
  readonly #onAbort = () => void this.close(); // close() reports to whoever awaits it
  /** What the consumer has, and on top of it what waits for the consumer, in the order of the last change. */
  readonly #delivered = new Map<string, Entry>();
  readonly #pending = new Map<string, Entry | undefined>();
  #snapshotPending: SnapshotFlags | undefined;
  #hasSnapshot = false;
  #position: Position | undefined;
  #wake: (() => void) | undefined;
  #closed: Promise<void> | undefined;
  #confirmedAt: number;
  readonly #confirmFor: number;
  #current = false;

  constructor(options: FeedOptions) {
    this.#clock = options.clock;
    this.#onClose = options.onClose;
    this.#signal = options.signal;
    this.#confirmedAt = options.clock.now();
    this.#confirmFor = options.confirmFor ?? Number.POSITIVE_INFINITY;
    if (this.#signal?.aborted) queueMicrotask(this.#onAbort);
    else this.#signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  /**
   * The store's whole state under `prefix` (everything that is watched, if absent). Only what differs from the known
   * state, by revision or bytes, becomes a change.
   */
  snapshot(entries: Iterable<Entry>, position?: Position, flags: SnapshotFlags = {}, prefix = ""): void {
    const gone = new Set<string>();
    for (const key of this.#delivered.keys()) if (key.startsWith(prefix)) gone.add(key);
    for (const [key, entry] of this.#pending) if (entry && key.startsWith(prefix)) gone.add(key);
    for (const entry of entries) {
      gone.delete(entry.key);
      if (!same(this.known(entry.key), entry)) this.#set(entry.key, entry);
    }
    for (const key of gone) this.#set(key, undefined);
    this.#snapshotPending = {
      rewound: flags.rewound || this.#snapshotPending?.rewound === true,
      fromMirror: flags.fromMirror === true,
    };
    this.#position = position;
    this.#notify();
  }

  /** Changes in the order of their revisions; all of a transaction in one call. */
  changes(events: Iterable<FeedEvent>, position?: Position): void {
    for (const [key, entry] of events) this.#set(key, entry);
    this.#position = position;
    this.#notify();
  }

  /** The store's latest known state of a key, whether or not the consumer has it already. */
  known(key: string): Entry | undefined {
    return this.#pending.has(key) ? this.#pending.get(key) : this.#delivered.get(key);
  }

  /** The producer has just heard from the store that nothing is missing. */
  confirm(): void {
    this.#current = true;
    this.#confirmedAt = this.#clock.now();
  }

  /** The producer lost touch with the store. */
  disconnected(): void {
    if (this.#current && this.#confirmFor === Number.POSITIVE_INFINITY) this.#confirmedAt = this.#clock.now();
    this.#current = false;
  }

  staleFor(): number {
    const age = this.#clock.now() - this.#confirmedAt;
    return this.#current && age <= this.#confirmFor ? 0 : age;
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  close(): Promise<void> {
    this.#closed ??= (async () => {
      this.#signal?.removeEventListener("abort", this.#onAbort);
      this.disconnected();
      this.#notify();
      await this.#onClose();
    })();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchItem, void, undefined> {
    try {
      for (;;) {
        this.#signal?.throwIfAborted();
        if (this.#closed) return;
        const item = this.#take();
        if (item) yield item;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      await this.close();
    }
  }

  #set(key: string, entry: Entry | undefined): void {
    this.#pending.delete(key); // so that it moves to the end
    const delivered = this.#delivered.get(key);
    if (entry ? !delivered || !same(delivered, entry) : delivered) this.#pending.set(key, entry);
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #take(): WatchItem | undefined {
    const snapshot = this.#snapshotPending;
    if (!snapshot && (this.#pending.size === 0 || !this.#hasSnapshot)) return undefined;
    const changes: StoreChange[] = [];
    for (const [key, entry] of this.#pending) {
      changes.push({ key, old: this.#delivered.get(key), new: entry });
      if (entry) this.#delivered.set(key, entry);
      else this.#delivered.delete(key);
    }
    this.#pending.clear();
    const position = this.#position === undefined ? {} : { position: this.#position };
    if (!snapshot) return { kind: "changes", changes, ...position };
    this.#snapshotPending = undefined;
    this.#hasSnapshot = true;
    return {
      kind: "snapshot",
      entries: [...this.#delivered.values()].sort((a, b) => compareKeys(a.key, b.key)),
      changes,
      ...position,
      ...(snapshot.rewound && { rewound: true }),
      ...(snapshot.fromMirror && { fromMirror: true }),
    };
  }
}

/** Equal bytes too: a store that lost its data counts revisions anew, and they may meet the old ones. */
function same(a: Entry | undefined, b: Entry): boolean {
  return (
    a !== undefined && a.revision === b.revision && (a.value === b.value || Buffer.compare(a.value, b.value) === 0)
  );
}
