import type { Clock, Duration } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import { type CallOptions, StoreError } from "../api/store.ts";
import { limited } from "../common/deadline.ts";
import { EtcdConnection, type EtcdService, patience } from "./connection.ts";
import { toStoreError } from "./errors.ts";
import { type EtcdLog, type EtcdStoreOptions, readCredentials, readLogin } from "./options.ts";

export interface CallerOptions extends EtcdStoreOptions {
  readonly clock: Clock;
  readonly dialTimeout: Duration;
  readonly requestTimeout: Duration;
  readonly log: EtcdLog;
}

/**
 * Makes calls on the connection in use, with a deadline, and changes the connection when it is of no use: to the next
 * endpoint when this one is unavailable, to a new connection when this one is silent.
 */
export class EtcdCaller {
  readonly options: CallerOptions;
  #connection: Promise<EtcdConnection> | undefined;
  #next = 0;
  #closed = false;

  constructor(options: CallerOptions) {
    this.options = options;
  }

  /** @throws StoreError, or the signal's reason */
  async unary<Response>(
    service: EtcdService,
    method: string,
    request: object,
    what: string,
    options?: CallOptions,
  ): Promise<Response> {
    options?.signal?.throwIfAborted();
    const { clock, dialTimeout, requestTimeout } = this.options;
    const connection = await this.connection();
    const since = clock.now();
    const limits = {
      clock,
      timeout: patience(connection, dialTimeout, requestTimeout),
      signal: options?.signal,
      what: `etcd ${connection.endpoint}: ${what}`,
    };
    try {
      return await limited(limits, (cancelled) => connection.unary<Response>(service, method, request, cancelled));
    } catch (e) {
      const error = toStoreError(e, limits.what);
      if (!options?.signal?.aborted) this.report(connection, since, error);
      throw error;
    }
  }

  /** The connection to use now. @throws StoreError when the store is closed or files can't be read */
  async connection(): Promise<EtcdConnection> {
    if (this.#closed) throw closedError();
    if (!this.#connection) {
      const opening = this.#open();
      this.#connection = opening;
      opening.catch(() => {
        if (this.#connection === opening) this.#connection = undefined;
      });
    }
    const connection = await this.#connection;
    if (this.#closed) throw closedError();
    return connection;
  }

  /** A use of `connection` that began at `since` ({@link Clock.now}) failed. */
  report(connection: EtcdConnection, since: number, error: unknown): void {
    if (connection.retired.aborted || !(error instanceof StoreError)) return;
    if (!this.#isUseless(connection, since, error)) return;
    const { endpoints, log } = this.options;
    this.#next = (this.#next + 1) % endpoints.length;
    this.#connection = undefined;
    log.debug({ endpoint: connection.endpoint, next: endpoints[this.#next], err: error }, "etcd connection given up");
    connection.retire(error);
  }

  #isUseless(connection: EtcdConnection, since: number, error: StoreError): boolean {
    if (error.code === "UNAUTHENTICATED") return true; // the next one reads certificates and password anew
    if (error.code !== "UNAVAILABLE") return false;
    const silent = (connection.heardAt ?? Number.NEGATIVE_INFINITY) < since;
    // With a cause it is gRPC's own finding: it connects again by itself, slower and slower; a new one would not be slower.
    return silent && (error.cause === undefined || this.options.endpoints.length > 1);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const connection = await this.#connection?.catch(() => undefined);
    connection?.retire(closedError());
  }

  async #open(): Promise<EtcdConnection> {
    const { endpoints, tls, auth, clock } = this.options;
    const [credentials, login] = await Promise.all([readCredentials(tls), readLogin(auth)]);
    try {
      return new EtcdConnection({ endpoint: endpoints[this.#next] as string, credentials, login, clock });
    } catch (e) {
      const message = `etcd: the certificates cannot be used: ${fullMessage(e)}`;
      throw new StoreError("UNAUTHENTICATED", message, { cause: e });
    }
  }
}

export const closedError = (): StoreError => new StoreError("UNAVAILABLE", "etcd: the store is closed");
