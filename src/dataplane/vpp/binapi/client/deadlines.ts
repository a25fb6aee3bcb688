import { type Clock, millis, type Timer } from "../../../../base/clock/clock.ts";

/**
 * One timer for many deadlines. A request only says when it ends at the latest ({@link arm}), which mostly costs one
 * comparison; when the timer fires, `expire` looks through all of them and says when to look again.
 */
export class Deadlines {
  readonly #clock: Clock;
  readonly #expire: (now: number) => number;
  #at = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;

  /** `expire` ends what is due and returns the earliest deadline that is left, or Infinity. */
  constructor(clock: Clock, expire: (now: number) => number) {
    this.#clock = clock;
    this.#expire = expire;
  }

  arm(deadline: number): void {
    if (deadline >= this.#at) return;
    this.#timer?.cancel();
    this.#at = deadline;
    const delay = millis(Math.max(0, deadline - this.#clock.now()));
    this.#timer = this.#clock.schedule(delay, () => {
      this.#at = Number.POSITIVE_INFINITY;
      this.arm(this.#expire(this.#clock.now()));
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#at = Number.POSITIVE_INFINITY;
  }
}
