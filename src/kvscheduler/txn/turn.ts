import type { Clock } from "../../base/clock/clock.ts";

/** How long our own code may run in one turn of the event loop before it lets others have theirs, in milliseconds. */
const LIMIT_MS = 5;
/** Steps between two looks at the clock; a power of two. */
const STEPS = 32;

/**
 * What the scheduler takes of one turn of the event loop, over all its transactions: promises that settle at once do not
 * end a turn, so ten thousand quick operations could keep everybody else waiting. Our code says when it runs
 * ({@link enter}) and when it waits ({@link leave}); after {@link LIMIT_MS} it {@link breathe}s.
 */
export class Turn {
  /** The longest that we ever took, in milliseconds; what descriptors do before their first `await` included. */
  longest = 0;
  readonly #clock: Clock;
  #since = -1;
  #used = 0;
  #steps = 0;
  #armed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Our code runs from here on. Idempotent. */
  enter(): void {
    if (this.#since >= 0) return;
    this.#since = this.#clock.now();
    if (this.#armed) return;
    this.#armed = true;
    setImmediate(() => {
      this.#armed = false;
      this.#used = 0;
      this.#since = -1;
    });
  }

  /** Our code waits for something. Idempotent. */
  leave(): void {
    if (this.#since < 0) return;
    this.#used += this.#clock.now() - this.#since;
    this.#since = -1;
    if (this.#used > this.longest) this.longest = this.#used;
  }

  /** To be called at every step of long work; if true, {@link breathe}. */
  isOver(): boolean {
    if (++this.#steps < STEPS) return false;
    this.#steps = 0;
    return this.isLong();
  }

  /** {@link isOver}, for those who count their steps themselves. */
  isLong(): boolean {
    return this.#used + (this.#since < 0 ? 0 : this.#clock.now() - this.#since) > LIMIT_MS;
  }

  /** Lets the event loop have a turn. */
  async breathe(): Promise<void> {
    this.leave();
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.enter();
  }

  /** Waits for what others do. */
  async away<T>(promise: PromiseLike<T>): Promise<T> {
    this.leave();
    try {
      return await promise;
    } finally {
      this.enter();
    }
  }
}

/** Work in steps: it yields where it may be interrupted, as often as {@link due} says. */
export type Steps<T> = Generator<void, T, void>;

let steps = 0;

/** To be asked at every step, whether to yield there: yielding each time would cost more than most steps do. */
export function due(): boolean {
  return (++steps & (STEPS - 1)) === 0;
}

/**
 * Does something with each of them, in steps. In a function that is interrupted each round of a loop over a map or a list allocates
 * memory, which is a lot with a hundred thousand values: so this is one that is not.
 */
export function* eachInSteps<T>(all: readonly T[], act: (one: T) => void): Steps<void> {
  for (let from = 0; from < all.length; from += STEPS) {
    if (from > 0) yield;
    someOf(all, from, act);
  }
}

function someOf<T>(all: readonly T[], from: number, act: (one: T) => void): void {
  const until = Math.min(from + STEPS, all.length);
  for (let i = from; i < until; i++) act(all[i]!);
}

/** Does the work, giving the event loop its turns. What can be done in this turn is done without a promise. */
export function inTurns<T>(turn: Turn, work: Steps<T>): T | Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (turn.isLong()) return inMoreTurns(turn, work);
  }
}

async function inMoreTurns<T>(turn: Turn, work: Steps<T>): Promise<T> {
  for (;;) {
    await turn.breathe();
    for (;;) {
      const step = work.next();
      if (step.done === true) return step.value;
      if (turn.isLong()) break;
    }
  }
}

/** Does the work at one go. */
export function atOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}
