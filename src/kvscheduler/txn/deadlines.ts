import type { Clock, Duration, Timer } from "../../base/clock/clock.ts";

/** Something that has to end in time. `previous` and `next` belong to {@link Deadlines}. */
export interface Timed {
  dueAt: number;
  previous: Timed | undefined;
  next: Timed | undefined;
  expire(): void;
}

/** All calls with the same length of deadline: a list in the order of starting is in the order of falling due, too. */
class Lane {
  readonly #clock: Clock;
  readonly #duration: Duration;
  #head: Timed | undefined;
  #tail: Timed | undefined;
  #timer: Timer | undefined;

  constructor(clock: Clock, duration: Duration) {
    this.#clock = clock;
    this.#duration = duration;
  }

  add(item: Timed, now: number): void {
    item.dueAt = now + this.#duration;
    item.previous = this.#tail;
    if (this.#tail === undefined) this.#head = item;
    else this.#tail.next = item;
    this.#tail = item;
    this.#timer ??= this.#clock.schedule(this.#duration, () => this.#fire());
  }

  remove(item: Timed): void {
    const { previous, next } = item;
    if (previous === undefined && this.#head !== item) return; // not in the list any more
    if (previous === undefined) this.#head = next;
    else previous.next = next;
    if (next === undefined) this.#tail = previous;
    else next.previous = previous;
    item.previous = undefined;
    item.next = undefined;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** The timer is left running when calls end in time: one per deadline's length is cheaper than one per call. */
  #fire(): void {
    this.#timer = undefined;
    const now = this.#clock.now();
    for (let head = this.#head; head !== undefined && head.dueAt <= now; head = this.#head) {
      this.remove(head);
      head.expire();
    }
    if (this.#head !== undefined && this.#timer === undefined) {
      const left = Math.max(1, this.#head.dueAt - now) as Duration;
      this.#timer = this.#clock.schedule(left, () => this.#fire());
    }
  }
}

/** The shared wheel of deadlines: adding and removing cost a few assignments, and one timer serves thousands of calls. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #lanes = new Map<Duration, Lane>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(item: Timed, duration: Duration, now: number): void {
    this.#lane(duration).add(item, now);
  }

  remove(item: Timed, duration: Duration): void {
    this.#lane(duration).remove(item);
  }

  close(): void {
    for (const lane of this.#lanes.values()) lane.close();
  }

  #lane(duration: Duration): Lane {
    let lane = this.#lanes.get(duration);
    if (lane === undefined) {
      lane = new Lane(this.#clock, duration);
      this.#lanes.set(duration, lane);
    }
    return lane;
  }
}
