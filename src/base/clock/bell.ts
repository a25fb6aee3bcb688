import type { Clock, Duration, Timer } from "./clock.ts";

/** Wakes its one waiter after a while, or sooner. */
export class Bell {
  readonly #clock: Clock;
  #timer: Timer | undefined;
  #due = Number.POSITIVE_INFINITY;
  #rung = false;
  #wake: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(after: Duration): void {
    const due = this.#clock.now() + after;
    if (due >= this.#due) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = this.#clock.schedule(after, () => {
      this.#due = Number.POSITIVE_INFINITY;
      this.#rung = true;
      this.#wake?.();
    });
  }

  /** Resolves when it rings; after `longest` at the latest, which is told. */
  async wait(longest: Duration): Promise<"early" | "late"> {
    const late = this.#clock.now() + longest;
    this.ring(longest);
    if (!this.#rung) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#rung = false;
    this.#wake = undefined;
    return this.#clock.now() >= late ? "late" : "early";
  }

  close(): void {
    this.#timer?.cancel();
  }
}
