import { type Clock, systemClock } from "../../base/clock/clock.ts";
import {
  type CallOptions,
  type Compare,
  type Entry,
  type Lease,
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
import { checkTtl, checkTxn } from "../common/checks.ts";
import { Feed } from "../common/feed.ts";
import { KeptLease } from "../common/kept-lease.ts";
import { checkKey } from "../common/keys.ts";
import type { LocalDbOptions } from "../local/local-db.ts";
import { EmbeddedEngine, type Subscription } from "./engine.ts";
import { EmbeddedFile } from "./file.ts";
import { EmbeddedState, type StateWrite } from "./state.ts";

export interface EmbeddedStoreOptions extends LocalDbOptions {
  /** Where its file is; created if it isn't there. Absent: nothing outlives the process. */
  readonly dir?: string;
  readonly clock?: Clock;
  /** Transactions that a watch may lag behind before it gets a snapshot instead; 10 000 if absent. */
  readonly historyLength?: number;
}

/** Writes as the engine takes them. @throws StoreError `INVALID` */
export function toStateWrites(writes: readonly WriteOp[]): StateWrite[] {
  return writes.map((w) =>
    w.op === "delete" ? { key: w.key, value: undefined } : { key: w.key, value: w.value, lease: w.lease?.id },
  );
}

/**
 * The store without a server of its own: inside one process, which may serve it to others by `serveEmbedded`. The same
 * promises as etcd's, on one machine.
 */
export class EmbeddedStore implements Store, AsyncDisposable {
  readonly kind: string;
  /** For the server. */
  readonly engine: EmbeddedEngine;
  readonly #clock: Clock;
  readonly #leases = new Set<KeptLease>();
  readonly #watches = new Set<Feed>();

  readonly #ownsEngine: boolean;
  #closed = false;

  private constructor(kind: string, engine: EmbeddedEngine, clock: Clock, ownsEngine: boolean) {
    this.kind = kind;
    this.engine = engine;
    this.#clock = clock;
    this.#ownsEngine = ownsEngine;
  }

  /** @throws LocalDbError when the file is damaged, newer than this code, or in use. */
  static async open(options: EmbeddedStoreOptions = {}): Promise<EmbeddedStore> {
    const { dir, clock = systemClock, historyLength = 10_000, ...local } = options;
    const opened = dir === undefined ? undefined : await EmbeddedFile.open(dir, local);
    const state = opened?.state ?? new EmbeddedState();
    const engine = new EmbeddedEngine({ clock, state, file: opened?.file, historyLength });
    return new EmbeddedStore(dir === undefined ? "embedded (in memory)" : `embedded ${dir}`, engine, clock, true);
  }

  /** The same data under a life of its own: closing it ends its watches and leases, and leaves the store open. */
  view(): EmbeddedStore {
    return new EmbeddedStore(this.kind, this.engine, this.#clock, false);
  }

  get(key: string, options?: CallOptions): Promise<Entry | undefined> {
    return this.#call(options, () => {
      checkKey(key);
      return this.engine.get(key);
    });
  }

  list(prefix: string, options?: CallOptions): Promise<Snapshot> {
    return this.#call(options, async () => ({ entries: await this.engine.list(prefix) }));
  }

  async put(key: string, value: Uint8Array, options?: CallOptions & { lease?: Lease }): Promise<Revision> {
    const outcome = await this.txn(
      [],
      [{ op: "put", key, value, ...(options?.lease && { lease: options.lease }) }],
      options,
    );
    return outcome.revision as Revision;
  }

  delete(key: string, options?: CallOptions): Promise<boolean> {
    return this.#call(options, async () => {
      checkKey(key);
      return (await this.engine.txn([], [{ key, value: undefined }])).written > 0;
    });
  }

  txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions): Promise<TxnOutcome> {
    return this.#call(options, async () => {
      checkTxn(compare, writes);
      const { succeeded, revision } = await this.engine.txn(compare, toStateWrites(writes));
      return { succeeded, ...(revision !== undefined && { revision }) };
    });
  }

  bulk(writes: readonly WriteOp[], options?: CallOptions): Promise<void> {
    return writeInBulk(writes, (batch) => this.txn([], batch, options), options?.signal);
  }

  snapshotAndWatch(prefix: string, options: WatchOptions = {}): Watch {
    let subscription: Promise<Subscription> | undefined;
    const feed = new Feed({
      clock: this.#clock,
      signal: options.signal,
      onClose: async () => {
        this.#watches.delete(feed);
        (await subscription?.catch(() => undefined))?.cancel();
      },
    });
    this.#watches.add(feed);
    // Commits can be published between the start of the subscription and our hearing of it: they wait here.
    let early: Parameters<Feed["changes"]>[] | undefined = [];
    subscription = this.engine.subscribe(prefix, { seen: options.seen }, ({ events }, position) => {
      if (early) early.push([events, position]);
      else feed.changes(events, position);
    });
    subscription.then(
      ({ start }) => {
        if (start.kind !== "snapshot") return;
        feed.snapshot(start.entries, start.position, { rewound: start.rewound });
        for (const args of early ?? []) feed.changes(...args);
        early = undefined;
        feed.confirm();
      },
      () => void feed.close(), // only a closed store refuses
    );
    return feed;
  }

  async lease(ttl: number, options?: CallOptions): Promise<Lease> {
    const grantedAt = this.#clock.now();
    const id = await this.#call(options, () => this.engine.grant(checkTtl(ttl)));
    const lease = new KeptLease({
      id,
      ttl,
      clock: this.#clock,
      grantedAt,
      renew: () => this.engine.renew(id),
      revoke: async () => void (await this.engine.revoke(id)),
      onEnd: (ended) => this.#leases.delete(ended),
    });
    this.#leases.add(lease);
    return lease;
  }

  ping(options?: CallOptions): Promise<void> {
    return this.#call(options, () => this.engine.ping());
  }

  /** Leases are not revoked: they end in their time, as after a crash. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#watches].map((w) => w.close()));
    await Promise.all([...this.#leases].map((l) => l.abandon()));
    if (this.#ownsEngine) await this.engine.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Nothing here waits for others, so a signal only matters before and after. */
  async #call<T>(options: CallOptions | undefined, call: () => Promise<T>): Promise<T> {
    options?.signal?.throwIfAborted();
    if (this.#closed) throw new StoreError("UNAVAILABLE", `${this.kind}: the store is closed`);
    const result = await call();
    options?.signal?.throwIfAborted();
    return result;
  }
}
