import { type Clock, type Duration, sleep } from "../clock/clock.ts";

export interface LatelyOptions<T> {
  readonly read: () => Promise<T>;
  readonly clock: Clock;
  /** How long somebody who asks is kept waiting. */
  readonly patience: Duration;
}

/**
 * What somebody wants to know now, but not at any price: as it is read for those who ask together, or, if that takes longer than
 * they should wait, as it was when it was last read.
 */
export class Lately<T> {
  readonly #options: LatelyOptions<T>;
  #reading: Promise<T> | undefined;
  #last: T | undefined;

  constructor(options: LatelyOptions<T>) {
    this.#options = options;
  }

  /** Undefined: it takes long, and has never been read. Rejects with what a read that ends in time rejects with. */
  async get(): Promise<T | undefined> {
    const { clock, patience } = this.#options;
    const reading = (this.#reading ??= this.#read());
    const over = new AbortController();
    try {
      return await Promise.race([reading, sleep(clock, patience, over.signal).then(() => this.#last)]);
    } finally {
      over.abort();
    }
  }

  #read(): Promise<T> {
    const reading = this.#options.read().then((value) => (this.#last = value));
    const forget = (): void => {
      this.#reading = undefined;
    };
    // Who still waits is told of a failure; otherwise the next one who asks has it read again.
    reading.then(forget, forget);
    return reading;
  }
}
