import { toError } from "../errors/errors.ts";

/**
 * Owner of background promises. A task is registered before its first await and awaited by {@link close}, so none is
 * left behind and no rejection goes unseen.
 */
export class Tasks {
  readonly #running = new Map<Promise<void>, string>();
  readonly #onError: (error: Error, task: string) => void;
  readonly #abort = new AbortController();

  constructor(onError: (error: Error, task: string) => void) {
    this.#onError = onError;
  }

  /** Aborts when {@link close} begins. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Starts `body` at once. Its rejection goes to `onError`, unless it only reports that the tasks were closed. */
  run(name: string, body: (signal: AbortSignal) => Promise<void>): void {
    const task = (async () => {
      try {
        await body(this.#abort.signal);
      } catch (e) {
        if (!this.#abort.signal.aborted) this.#onError(toError(e), name);
      }
    })();
    this.#running.set(task, name);
    void task.then(() => this.#running.delete(task)); // never rejects: the body above catches everything
  }

  /** Names of the tasks that still run, for diagnostics. */
  names(): string[] {
    return [...this.#running.values()];
  }

  /** Aborts the signal and waits for every task to end. */
  async close(): Promise<void> {
    this.#abort.abort();
    while (this.#running.size > 0) await Promise.all(this.#running.keys());
  }
}
