import type { Clock } from "../../base/clock/clock.ts";

/** How long our own code may run before the event loop gets a turn, in milliseconds. */
const LIMIT_MS = 8;
/** Steps between two looks at the clock. */
const STEPS = 32;

/** Measures a stretch of our own work, so that a long one can be interrupted. */
export class Slice {
  readonly #clock: Clock;
  #since: number;
  #steps = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** To be called at every step; then {@link breathe} and {@link restart}. */
  isOver(): boolean {
    if (++this.#steps < STEPS) return false;
    this.#steps = 0;
    return this.#clock.now() - this.#since > LIMIT_MS;
  }

  restart(): void {
    this.#since = this.#clock.now();
  }
}

/** Lets the event loop have a turn. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Work in steps: it yields where it may be interrupted. */
export type Steps<T> = Generator<void, T, void>;

/** Does the work, giving the event loop its turns. */
export async function inSlices<T>(clock: Clock, steps: Steps<T>): Promise<T> {
  const slice = new Slice(clock);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (slice.isOver()) {
      await breathe();
      slice.restart();
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
