import { breathe } from "../slice/slice.ts";

/** Reads once for all who ask in one turn of the event loop. */
export class Together<T> {
  readonly #read: () => Promise<T>;
  #next: Promise<T> | undefined;

  constructor(read: () => Promise<T>) {
    this.#read = read;
  }

  /** What is of now, or of later. */
  get(): Promise<T> {
    this.#next ??= breathe().then(() => {
      this.#next = undefined;
      return this.#read();
    });
    return this.#next;
  }
}
