import type { Key } from "./api/descriptor.ts";
import type { StatusEvent, StatusFilter, StatusNews, StatusWatch } from "./api/scheduler.ts";

/** Keys that a watcher is told by name when it has missed them; of more it learns the number. */
const MAX_NAMED = 1000;

/**
 * One watcher of value states. It never holds up the scheduler: what does not fit into its buffer is dropped, and the
 * watcher is told so, at the place in the sequence where it happened.
 */
export class Watcher implements StatusWatch {
  readonly #filter: StatusFilter;
  readonly #bound: number;
  readonly #onClose: (watcher: Watcher) => void;
  readonly #counts: { missed: number };
  #events: StatusEvent[] = [];
  readonly #missed = new Set<Key>();
  #missedCount = 0;
  #wake: (() => void) | undefined;
  #closed = false;

  /** @param counts where missed events are counted, for all watchers together */
  constructor(
    filter: StatusFilter,
    bound: number,
    onClose: (watcher: Watcher) => void,
    counts: { missed: number } = { missed: 0 },
  ) {
    this.#filter = filter;
    this.#bound = bound;
    this.#onClose = onClose;
    this.#counts = counts;
  }

  offer(event: StatusEvent): void {
    if (!this.#selects(event)) return;
    if (this.#missedCount > 0 || this.#events.length >= this.#bound) {
      this.#missedCount++;
      this.#counts.missed++;
      if (this.#missed.size < MAX_NAMED) this.#missed.add(event.status.key);
    } else {
      this.#events.push(event);
    }
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<StatusNews, undefined>> {
    for (;;) {
      const news = this.#take();
      if (news !== undefined) return { done: false, value: news };
      if (this.#closed) return { done: true, value: undefined };
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
  }

  return(): Promise<IteratorResult<StatusNews, undefined>> {
    this.close();
    this.#events = [];
    this.#missedCount = 0;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** No more events; those that are buffered can still be read. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClose(this);
    this.#wake?.();
  }

  #take(): StatusNews | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return { event };
    if (this.#missedCount === 0) return undefined;
    const missed = { count: this.#missedCount, keys: [...this.#missed] };
    this.#missedCount = 0;
    this.#missed.clear();
    return { missed };
  }

  #selects({ status }: StatusEvent): boolean {
    const { prefix, descriptor, states } = this.#filter;
    if (prefix !== undefined && !status.key.startsWith(prefix)) return false;
    if (descriptor !== undefined && status.descriptor !== descriptor) return false;
    return states === undefined || states.includes(status.state);
  }
}
