/**
 * What a wish or a finding means for a key:
 * - `due`: the store is to be written
 * - `settled`: the store is as wished for, nothing is to be written
 * - `same`: nothing has changed; what was due is still due
 */
export type Verdict = "due" | "same" | "settled";

/**
 * One kind's objects as they should be, and how the store differs. Pure state: knows no store and no clock.
 *
 * The store's values are kept only where they differ from what is wished for, so that in the normal case there is one text
 * a key and no more.
 */
export class KindState {
  /** What should be. */
  readonly #wanted = new Map<string, string>();
  /** What the store has, where that is something else than wished for. */
  readonly #strange = new Map<string, string>();
  /** What was written last and has not been seen in the store since; undefined is a deletion. */
  readonly #unseen = new Map<string, string | undefined>();
  #sweeps = false;

  get size(): number {
    return this.#wanted.size;
  }

  wanted(key: string): string | undefined {
    return this.#wanted.get(key);
  }

  keys(): IterableIterator<string> {
    return this.#wanted.keys();
  }

  /** Somebody wishes for this value, or for the key's absence. */
  wish(key: string, value: string | undefined): Verdict {
    if (this.#wanted.get(key) === value && (value !== undefined || !this.#strange.has(key))) return "same";
    if (value === undefined) {
      this.#wanted.delete(key);
      return "due";
    }
    this.#wanted.set(key, value);
    // What is on its way to the store makes what the store has now out of date.
    if (this.#unseen.has(key) || this.#strange.get(key) !== value) return "due";
    this.#strange.delete(key);
    return "settled";
  }

  /** The store has this value, or lacks the key. */
  found(key: string, value: string | undefined): Verdict {
    if (value === this.#wanted.get(key)) {
      this.#strange.delete(key);
      this.#unseen.delete(key);
      return "settled";
    }
    if (value === undefined) this.#strange.delete(key);
    else this.#strange.set(key, value);
    if (this.#unseen.has(key)) return "same"; // older than what was written
    return this.#wanted.has(key) || this.#sweeps ? "due" : "same";
  }

  /** A listing is complete. Returns the keys that the store has and nobody wishes for; from now on they are due at once. */
  sweep(): string[] {
    this.#sweeps = true;
    return [...this.#strange.keys()].filter((key) => !this.#wanted.has(key));
  }

  /** To be called before the key is written. Returns what to write; undefined: to be deleted. */
  writing(key: string): string | undefined {
    const value = this.#wanted.get(key);
    this.#unseen.set(key, value);
    return value;
  }

  /** The write failed: what the store says counts again. */
  writeFailed(key: string): void {
    this.#unseen.delete(key);
  }

  /** Whether what was {@link writing} has not been seen in the store. */
  isUnseen(key: string): boolean {
    return this.#unseen.has(key);
  }

  /** What was written has not been seen for long: whether to write it again. */
  givenUp(key: string): Verdict {
    if (!this.#unseen.has(key)) return "same";
    const value = this.#unseen.get(key);
    this.#unseen.delete(key);
    // The store tells nobody that a key is gone which it didn't have.
    return value === undefined && !this.#wanted.has(key) && !this.#strange.has(key) ? "settled" : "due";
  }
}
