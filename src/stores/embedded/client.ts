import { type Clock, type Duration, millis, sleep, systemClock } from "../../base/clock/clock.ts";
import { Tasks } from "../../base/tasks/tasks.ts";
import {
  type CallOptions,
  type Compare,
  type Entry,
  type Lease,
  type Position,
  type Revision,
  type Snapshot,
  type Store,
  StoreError,
  type TxnOutcome,
  type Watch,
  type WatchOptions,
  type WriteOp,
} from "../api/store.ts";
import { writeInBulk } from "../common/bulk.ts";
import { checkTxn } from "../common/checks.ts";
import { limited } from "../common/deadline.ts";
import { Feed, type FeedEvent } from "../common/feed.ts";
import { KeptLease } from "../common/kept-lease.ts";
import { checkKey } from "../common/keys.ts";
import type { Connection } from "./connection.ts";
import { Dialer } from "./dialer.ts";
import { base64, eventFromWire, fromWire, type Response, type WireWrite } from "./protocol.ts";

export interface EmbeddedClientOptions {
  /** Path of the Unix socket that `serveEmbedded` listens on. */
  readonly socket: string;
  readonly clock?: Clock;
  /** Deadline of every call; 5 s if absent. */
  readonly requestTimeout?: Duration;
  /** 2 s if absent. */
  readonly dialTimeout?: Duration;
  /** How often the server is asked for a sign of life; 2 s if absent. It has the time of a request to answer. */
  readonly heartbeat?: Duration;
  /** Told of faults in here. */
  readonly onError?: (error: Error) => void;
}

/** An embedded store that another process serves. Opening needs no server; the client connects for ever. */
export class EmbeddedClient implements Store, AsyncDisposable {
  readonly kind: string;
  readonly #clock: Clock;
  readonly #requestTimeout: Duration;
  readonly #confirmFor: Duration;
  readonly #dialer: Dialer;
  readonly #tasks: Tasks;
  readonly #leases = new Set<KeptLease>();
  readonly #watches = new Set<Feed>();

  private constructor(options: EmbeddedClientOptions) {
    const { socket, clock = systemClock, heartbeat = millis(2000), requestTimeout = millis(5000) } = options;
    this.kind = `embedded ${socket}`;
    this.#clock = clock;
    this.#requestTimeout = requestTimeout;
    this.#confirmFor = millis(heartbeat + requestTimeout);
    this.#tasks = new Tasks((error) => options.onError?.(error));
    this.#dialer = new Dialer({
      socketPath: socket,
      clock,
      dialTimeout: options.dialTimeout ?? millis(2000),
      heartbeat,
      heartbeatTimeout: requestTimeout,
      onAlive: () => {
        for (const feed of this.#current) feed.confirm();
      },
    });
  }

  static open(options: EmbeddedClientOptions): Promise<EmbeddedClient> {
    const client = new EmbeddedClient(options);
    client.#tasks.run("embedded store connection", (signal) => client.#dialer.run(signal));
    return Promise.resolve(client);
  }

  async get(key: string, options?: CallOptions): Promise<Entry | undefined> {
    checkKey(key);
    const { entry } = await this.#call(`get ${key}`, options, (c, cancelled) =>
      c.request({ op: "get", key }, { cancelled }),
    );
    return entry && fromWire(entry);
  }

  async list(prefix: string, options?: CallOptions): Promise<Snapshot> {
    const entries: Entry[] = [];
    const onPart = (r: Response) => {
      if (r.kind === "part") entries.push(...r.entries.map(fromWire));
    };
    await this.#call(`list ${prefix}`, options, (c, cancelled) =>
      c.request({ op: "list", prefix }, { onPart, cancelled }),
    );
    return { entries };
  }

  async put(key: string, value: Uint8Array, options?: CallOptions & { lease?: Lease }): Promise<Revision> {
    const write: WriteOp = { op: "put", key, value, ...(options?.lease && { lease: options.lease }) };
    return (await this.#txn([], [write], options)).revision as Revision;
  }

  async delete(key: string, options?: CallOptions): Promise<boolean> {
    return (await this.#txn([], [{ op: "delete", key }], options)).written > 0;
  }

  async txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions): Promise<TxnOutcome> {
    const { succeeded, revision } = await this.#txn(compare, writes, options);
    return { succeeded, ...(revision !== undefined && { revision }) };
  }

  bulk(writes: readonly WriteOp[], options?: CallOptions): Promise<void> {
    return writeInBulk(writes, (batch) => this.#txn([], batch, options), options?.signal);
  }

  snapshotAndWatch(prefix: string, options: WatchOptions = {}): Watch {
    const stop = new AbortController();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const feed = new Feed({
      clock: this.#clock,
      confirmFor: this.#confirmFor,
      signal: options.signal,
      onClose: async () => {
        stop.abort();
        await ended;
        this.#watches.delete(feed);
      },
    });
    this.#watches.add(feed);
    this.#tasks.run(`watch ${prefix}`, async (closing) => {
      try {
        await this.#watch(prefix, options.seen, feed, AbortSignal.any([stop.signal, closing]));
      } finally {
        end();
      }
    });
    return feed;
  }

  async lease(ttl: number, options?: CallOptions): Promise<Lease> {
    const grantedAt = this.#clock.now();
    const { lease: id } = await this.#call("grant a lease", options, (c, cancelled) =>
      c.request({ op: "grant", ttl }, { cancelled }),
    );
    const lease = new KeptLease({
      id,
      ttl,
      clock: this.#clock,
      grantedAt,
      renew: async (signal) => {
        const renewed = await this.#call("renew a lease", { signal }, (c, cancelled) =>
          c.request({ op: "renew", lease: id }, { cancelled }),
        );
        return renewed.alive;
      },
      revoke: async () => {
        await this.#call("revoke a lease", undefined, (c, cancelled) =>
          c.request({ op: "revoke", lease: id }, { cancelled }),
        );
      },
      onEnd: (ended) => this.#leases.delete(ended),
    });
    this.#leases.add(lease);
    return lease;
  }

  async ping(options?: CallOptions): Promise<void> {
    await this.#call("ping", options, (c, cancelled) => c.request({ op: "ping" }, { cancelled }));
  }

  /** Leases are not revoked: they end in their time, as after a crash. */
  async close(): Promise<void> {
    await Promise.all([...this.#leases].map((l) => l.abandon()));
    await Promise.all([...this.#watches].map((w) => w.close()));
    await this.#tasks.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions) {
    checkTxn(compare, writes);
    const wire = {
      op: "txn" as const,
      compare: compare.map((c): [string, string | null] => [c.key, c.revision ?? null]),
      writes: writes.map((w): WireWrite => {
        if (w.op === "delete") return [w.key, null];
        return w.lease ? [w.key, base64(w.value), w.lease.id] : [w.key, base64(w.value)];
      }),
    };
    return this.#call(`write ${writes[0]?.key ?? "nothing"}`, options, (c, cancelled) =>
      c.request(wire, { cancelled }),
    );
  }

  #call<T>(
    what: string,
    options: CallOptions | undefined,
    call: (connection: Connection, cancelled: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const limits = {
      clock: this.#clock,
      timeout: this.#requestTimeout,
      signal: options?.signal,
      what: `${this.kind}: ${what}`,
    };
    return limited(limits, async (cancelled) => {
      const connection = await this.#dialer.now();
      cancelled.throwIfAborted();
      return call(connection, cancelled);
    });
  }

  /** Watches whose connection is up and which have all that came so far. */
  readonly #current = new Set<Feed>();

  /** Over any number of connections, until the signal aborts. */
  async #watch(prefix: string, seen: Position | undefined, feed: Feed, signal: AbortSignal): Promise<void> {
    let resume: Position | undefined;
    while (!signal.aborted) {
      try {
        const connection = await this.#dialer.soon(signal);
        const snapshot: Entry[] = [];
        let step: FeedEvent[] = [];
        const onPart = (r: Response) => {
          switch (r.kind) {
            case "part":
              snapshot.push(...r.entries.map(fromWire));
              break;
            case "snapshot":
              feed.snapshot(snapshot.splice(0), r.position, { rewound: r.rewound });
              resume = r.position;
              this.#becomesCurrent(feed);
              break;
            case "resumed":
              this.#becomesCurrent(feed);
              break;
            case "events":
              step.push(...r.events.map(eventFromWire));
              if (r.position === undefined) break;
              feed.changes(step, r.position);
              resume = r.position;
              step = [];
              break;
            case "done":
            case "failed":
              break;
          }
        };
        const from = { ...(resume !== undefined && { resume }), ...(seen !== undefined && { seen }) };
        await connection.request({ op: "watch", prefix, ...from }, { onPart, cancelled: signal });
      } catch (e) {
        if (signal.aborted) break;
        if (!(e instanceof StoreError)) throw e;
        await sleep(this.#clock, millis(20), signal).catch(() => undefined); // the dialer has the real backoff
      } finally {
        this.#current.delete(feed);
        feed.disconnected();
      }
    }
    if (!feed.closed) void feed.close(); // its onClose waits for this very loop
  }

  #becomesCurrent(feed: Feed): void {
    this.#current.add(feed);
    feed.confirm();
  }
}
