import type { Clock } from "../clock/clock.ts";

/** How long work may go on before the event loop gets a turn, in milliseconds. */
const LIMIT_MS = 8;
/** Steps between two looks at the clock. */
const STEPS = 32;

/** Measures a stretch of work, so that a long one can be interrupted. */
export class Slice {
  readonly #clock: Clock;
  #since: number;
  #steps = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** Lets the event loop have a turn. */
  async pause(): Promise<void> {
    await breathe();
    this.#since = this.#clock.now();
  }

  /** To be called at every step; whether it is time to {@link pause}. */
  isOver(): boolean {
    if (++this.#steps < STEPS) return false;
    this.#steps = 0;
    return this.#clock.now() - this.#since > LIMIT_MS;
  }
}

/** Lets the event loop have a turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
