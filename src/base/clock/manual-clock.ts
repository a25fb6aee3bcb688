import type { Clock, Duration, Timer } from "./clock.ts";

interface Scheduled {
  readonly at: number;
  readonly seq: number;
  readonly callback: () => void;
}

/** A clock that only moves when a test says so. Callbacks run in order of their due time, then of registration. */
export class ManualClock implements Clock {
  #now = 0;
  #seq = 0;
  readonly #epoch: number;
  readonly #scheduled = new Set<Scheduled>();

  constructor(epoch = Date.UTC(2026, 0, 1)) {
    this.#epoch = epoch;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#epoch + this.#now;
  }

  schedule(delay: Duration, callback: () => void): Timer {
    const entry: Scheduled = { at: this.#now + delay, seq: this.#seq++, callback };
    this.#scheduled.add(entry);
    return { cancel: () => this.#scheduled.delete(entry) };
  }

  /** How many callbacks wait. */
  get pending(): number {
    return this.#scheduled.size;
  }

  /** Moves time forward, running every callback that falls due, also those scheduled on the way. */
  advance(by: Duration): void {
    const end = this.#now + by;
    for (;;) {
      let next: Scheduled | undefined;
      for (const s of this.#scheduled) {
        if (s.at <= end && (!next || s.at < next.at || (s.at === next.at && s.seq < next.seq))) next = s;
      }
      if (!next) break;
      this.#scheduled.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
    }
    this.#now = end;
  }

  /** {@link advance}, letting promise callbacks run between the steps. */
  async advanceAsync(by: Duration, step: Duration = by): Promise<void> {
    for (let left: number = by; left > 0; left -= step) {
      this.advance(Math.min(step, left) as Duration);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }
}
