import type { Clock } from "../base/clock/clock.ts";
import type { Entry, StoreChange, WatchItem } from "../stores/api/store.ts";
import {
  type ControllerEvent,
  type EventQueue,
  isResync,
  isStoreEvent,
  type ResyncEvent,
  type StoreEvent,
} from "./api.ts";

/**
 * Feeds the loop from a watch on the store: the first snapshot becomes a resync, whatever comes later becomes changes. A
 * later snapshot (after a gap) is changes too: the watch says what differs.
 */
export class StoreWatcher {
  readonly #queue: EventQueue;
  readonly #clock: Clock | undefined;
  readonly #entries = new Map<string, Entry>();

  /** With a clock, events tell since when their changes are known. */
  constructor(queue: EventQueue, clock?: Clock) {
    this.#queue = queue;
    this.#clock = clock;
  }

  /** The store as last seen. */
  get entries(): ReadonlyMap<string, Entry> {
    return this.#entries;
  }

  /** Runs until the watch ends. `seen` is told of every item before the loop is. */
  async follow(items: AsyncIterable<WatchItem>, seen?: (item: WatchItem) => void): Promise<void> {
    let first = true;
    for await (const item of items) {
      seen?.(item);
      for (const change of item.changes) {
        if (change.new) this.#entries.set(change.key, change.new);
        else this.#entries.delete(change.key);
      }
      if (first) this.#queue.push(resyncEvent("start", this.#entries));
      else if (item.changes.length > 0) this.#queue.push(new Changes(item.changes, this.#clock?.now()));
      first = false;
    }
  }
}

/** A resync sees the entries as they are when it is handled, so the changes that wait behind it are part of it. */
export function resyncEvent(reason: string, entries: ReadonlyMap<string, Entry>): ResyncEvent {
  return {
    kind: "resync",
    reason,
    entries,
    describe: () => `resync: ${reason}`,
    absorb: (next: ControllerEvent) => isResync(next) || isStoreEvent(next),
  };
}

class Changes implements StoreEvent {
  readonly kind = "store";
  readonly since: number | undefined;
  readonly #changes: Map<string, StoreChange>;

  constructor(changes: readonly StoreChange[], since: number | undefined) {
    this.since = since;
    this.#changes = new Map(changes.map((change) => [change.key, change]));
  }

  get changes(): readonly StoreChange[] {
    return [...this.#changes.values()];
  }

  describe(): string {
    const [first] = this.#changes.keys();
    return `store: ${first ?? ""}${this.#changes.size > 1 ? ` and ${this.#changes.size - 1} more` : ""}`;
  }

  /** Coalesces by key: from what was before the first change to what is after the last. */
  absorb(next: ControllerEvent): boolean {
    if (!isStoreEvent(next)) return false;
    for (const change of next.changes) {
      const before = this.#changes.get(change.key);
      const merged = before ? { ...change, old: before.old } : change;
      // What came and went in between was never there.
      if (merged.old === undefined && merged.new === undefined) this.#changes.delete(change.key);
      else this.#changes.set(change.key, merged);
    }
    return true;
  }
}
