/** Numbers from a seed, and choices made with them. The same seed gives the same numbers (mulberry32). */
export class Random {
  readonly seed: number;
  #state: number;

  constructor(seed: number) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** HEDDLE_SEED, or one that nobody chose. */
  static fromEnvironment(): Random {
    const given = process.env["HEDDLE_SEED"];
    if (given === undefined) return new Random(Math.floor(Math.random() * 0xffff_ffff));
    // Of what is no number every choice would come out the same way, or none would.
    if (!/^\d+$/.test(given)) throw new Error(`HEDDLE_SEED is a number, not ${JSON.stringify(given)}`);
    return new Random(Number(given));
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b_79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `from` to `to`, both included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** A generator of its own, so that what one user draws does not shift what another one gets. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 0xffff_ffff));
  }
}
