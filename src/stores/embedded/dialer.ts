import { backoffDelay } from "../../base/backoff/backoff.ts";
import { millis, sleep } from "../../base/clock/clock.ts";
import { StoreError } from "../api/store.ts";
import { Connection, type ConnectionOptions } from "./connection.ts";

const BACKOFF = { first: millis(50), max: millis(2000), jitter: 0.3 };

interface Waiter {
  readonly resolve: (connection: Connection) => void;
  readonly reject: (error: unknown) => void;
  /** Waits as long as it takes, not only for the attempt under way. */
  readonly patient: boolean;
}

/** Keeps a client connected for ever. */
export class Dialer {
  readonly #options: ConnectionOptions;
  readonly #waiters = new Set<Waiter>();
  #connection: Connection | undefined;
  #lastError: Error | undefined;
  #dialing = false;
  #ended = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for (let attempt = 0; !signal.aborted; attempt++) {
        this.#dialing = true;
        const since = this.#options.clock.now();
        try {
          this.#connection = await Connection.open(this.#options, signal);
          this.#dialing = false;
          this.#settle(
            (w) => w.resolve(this.#connection as Connection),
            () => true,
          );
          const onAbort = () => this.#connection?.destroy(closedError());
          signal.addEventListener("abort", onAbort, { once: true });
          this.#lastError = await this.#connection.closed;
          signal.removeEventListener("abort", onAbort);
          this.#connection = undefined;
          // One that held counts as success; a server that accepts and closes at once must not be hammered.
          if (this.#options.clock.now() - since > BACKOFF.max) attempt = 0;
        } catch (e) {
          this.#dialing = false;
          this.#lastError = e as Error;
          this.#settle(
            (w) => w.reject(e),
            (w) => !w.patient,
          );
        }
        await sleep(this.#options.clock, backoffDelay(BACKOFF, attempt), signal);
      }
    } finally {
      this.#ended = true;
      this.#connection?.destroy(closedError());
      this.#settle(
        (w) => w.reject(closedError()),
        () => true,
      );
    }
  }

  /** The connection; waits for an attempt that is under way, and rejects at once between attempts. */
  now(): Promise<Connection> {
    if (this.#connection?.open) return Promise.resolve(this.#connection);
    if (this.#ended) return Promise.reject(closedError());
    if (!this.#dialing) {
      const cause = this.#lastError;
      return Promise.reject(cause ?? new StoreError("UNAVAILABLE", `${this.#options.socketPath}: not connected`));
    }
    return this.#wait(false);
  }

  /** The connection as soon as there is one. Rejects only with the signal's reason, or when the client is closed. */
  soon(signal: AbortSignal): Promise<Connection> {
    if (this.#connection?.open) return Promise.resolve(this.#connection);
    if (this.#ended) return Promise.reject(closedError());
    return this.#wait(true, signal);
  }

  #wait(patient: boolean, signal?: AbortSignal): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        patient,
        resolve: (connection) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(connection);
        },
        reject,
      };
      const onAbort = () => {
        this.#waiters.delete(waiter);
        reject(signal?.reason);
      };
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#waiters.add(waiter);
    });
  }

  #settle(how: (waiter: Waiter) => void, which: (waiter: Waiter) => boolean): void {
    for (const waiter of [...this.#waiters].filter(which)) {
      this.#waiters.delete(waiter);
      how(waiter);
    }
  }
}

const closedError = () => new StoreError("UNAVAILABLE", "the store is closed");
