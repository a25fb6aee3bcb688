import type {
  IDeleteRangeResponse,
  ILeaseGrantResponse,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  IPutResponse,
  IRangeResponse,
  IRequestOp,
  ITxnRequest,
  ITxnResponse,
} from "etcd3";
import { type Duration, millis, seconds, systemClock } from "../../base/clock/clock.ts";
import { Tasks } from "../../base/tasks/tasks.ts";
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
import { limited } from "../common/deadline.ts";
import { Feed } from "../common/feed.ts";
import { KeptLease } from "../common/kept-lease.ts";
import { checkKey } from "../common/keys.ts";
import { closedError, EtcdCaller } from "./caller.ts";
import { GrpcStatus, hasStatus, toStoreError } from "./errors.ts";
import { KeyMapper } from "./keys.ts";
import { checkOptions, type EtcdLog, type EtcdStoreOptions, readCredentials, readLogin } from "./options.ts";
import { readSnapshot } from "./snapshot.ts";
import { EtcdWatch } from "./watch.ts";

export type { EtcdLog, EtcdStoreOptions } from "./options.ts";

/** Read by `ping`: inside what a user of Heddle's may read, and never there. */
const PING_KEY = "/heddle/ping";

const noLog: EtcdLog = { debug: () => undefined, warn: () => undefined };

/** A store in an etcd cluster, 3.4 or later. */
export class EtcdStore implements Store, AsyncDisposable {
  readonly kind: string;
  readonly #caller: EtcdCaller;
  readonly #keys: KeyMapper;
  readonly #heartbeat: Duration;
  readonly #tasks: Tasks;
  readonly #leases = new Set<KeptLease>();
  readonly #watches = new Set<Feed>();
  #closed = false;

  private constructor(options: EtcdStoreOptions) {
    const { clock = systemClock, log = noLog, dialTimeout = seconds(2), requestTimeout = seconds(5) } = options;
    this.kind = `etcd ${options.endpoints.join(",")}`;
    this.#caller = new EtcdCaller({ ...options, clock, log, dialTimeout, requestTimeout });
    this.#keys = new KeyMapper(options.keyPrefix ?? "");
    this.#heartbeat = options.heartbeat ?? seconds(5);
    this.#tasks = new Tasks((err, task) => log.warn({ err, task }, "etcd store task failed"));
  }

  /**
   * Needs no etcd to be there: calls reject with `UNAVAILABLE` until it is, watches begin when it is.
   * @throws StoreError for options that can't be right, and for files that can't be read
   */
  static async open(options: EtcdStoreOptions): Promise<EtcdStore> {
    checkOptions(options);
    await Promise.all([readCredentials(options.tls), readLogin(options.auth)]);
    return new EtcdStore(options);
  }

  async get(key: string, options?: CallOptions): Promise<Entry | undefined> {
    checkKey(key);
    const request = { key: this.#keys.toEtcd(key) };
    const { kvs } = await this.#caller.unary<IRangeResponse>("KV", "range", request, `get ${key}`, options);
    return kvs[0] && this.#keys.entry(kvs[0]);
  }

  async list(prefix: string, options?: CallOptions): Promise<Snapshot> {
    const { kvs } = await readSnapshot(this.#caller, this.#keys, prefix, options);
    return { entries: kvs.map((kv) => this.#keys.entry(kv)) };
  }

  async put(key: string, value: Uint8Array, options?: CallOptions & { lease?: Lease }): Promise<Revision> {
    const write: WriteOp = { op: "put", key, value, ...(options?.lease && { lease: options.lease }) };
    checkTxn([], [write]);
    const request = this.#request(write).request_put as object;
    const response = await this.#caller.unary<IPutResponse>("KV", "put", request, `put ${key}`, options);
    return response.header.revision;
  }

  async delete(key: string, options?: CallOptions): Promise<boolean> {
    checkKey(key);
    const request = { key: this.#keys.toEtcd(key) };
    const what = `delete ${key}`;
    const response = await this.#caller.unary<IDeleteRangeResponse>("KV", "deleteRange", request, what, options);
    return response.deleted !== "0";
  }

  async txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions): Promise<TxnOutcome> {
    checkTxn(compare, writes);
    const request: ITxnRequest = {
      compare: compare.map(({ key, revision }) => ({
        key: this.#keys.toEtcd(key),
        target: "Mod",
        result: "Equal",
        mod_revision: revision ?? 0, // etcd's revision of a key that is not there
      })),
      success: writes.map((w) => this.#request(w)),
    };
    const what = `transaction on ${(compare[0] ?? writes[0])?.key ?? "nothing"}`;
    const { succeeded, header } = await this.#caller.unary<ITxnResponse>("KV", "txn", request, what, options);
    return succeeded ? { succeeded, revision: header.revision } : { succeeded };
  }

  bulk(writes: readonly WriteOp[], options?: CallOptions): Promise<void> {
    return writeInBulk(writes, (batch) => this.txn([], batch, options), options?.signal);
  }

  snapshotAndWatch(prefix: string, options: WatchOptions = {}): Watch {
    const stop = new AbortController();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const feed = new Feed({
      clock: this.#caller.options.clock,
      confirmFor: millis(this.#heartbeat + this.#caller.options.requestTimeout),
      signal: options.signal,
      onClose: async () => {
        stop.abort();
        await ended;
        this.#watches.delete(feed);
      },
    });
    this.#watches.add(feed);
    const watch = new EtcdWatch({
      caller: this.#caller,
      keys: this.#keys,
      prefix,
      feed,
      heartbeat: this.#heartbeat,
      seen: options.seen,
    });
    this.#tasks.run(`watch ${prefix}`, async (closing) => {
      try {
        await watch.run(AbortSignal.any([stop.signal, closing]));
      } finally {
        end();
      }
      if (!feed.closed) await feed.close();
    });
    return feed;
  }

  async lease(ttl: number, options?: CallOptions): Promise<Lease> {
    checkTtl(ttl);
    const { clock } = this.#caller.options;
    const grantedAt = clock.now();
    const what = "grant a lease";
    const granted = await this.#caller.unary<ILeaseGrantResponse>("Lease", "leaseGrant", { TTL: ttl }, what, options);
    const id = granted.ID;
    const lease = new KeptLease({
      id,
      ttl: Number(granted.TTL), // etcd has a least one, 2 s by default
      clock,
      grantedAt,
      renew: (signal) => this.#renew(id, signal),
      revoke: () => this.#revoke(id),
      onEnd: (ended) => this.#leases.delete(ended),
    });
    this.#leases.add(lease);
    return lease;
  }

  async ping(options?: CallOptions): Promise<void> {
    const request = { key: this.#keys.toEtcd(PING_KEY), count_only: true };
    try {
      await this.#caller.unary<IRangeResponse>("KV", "range", request, "ping", options);
    } catch (e) {
      if (!hasStatus(e, GrpcStatus.PERMISSION_DENIED)) throw e; // that is an answer, too
    }
  }

  /** Leases are not revoked: they end in their time, as after a crash. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.all([...this.#leases].map((l) => l.abandon()));
    await Promise.all([...this.#watches].map((w) => w.close()));
    await this.#tasks.close();
    await this.#caller.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #request(write: WriteOp): IRequestOp {
    const key = this.#keys.toEtcd(write.key);
    if (write.op === "delete") return { request_delete_range: { key } };
    const { buffer, byteOffset, byteLength } = write.value;
    const value = Buffer.from(buffer, byteOffset, byteLength);
    return { request_put: { key, value, ...(write.lease && { lease: write.lease.id }) } };
  }

  /** One renewal on a stream of its own: etcd has no other way, and a stream kept open would need care of its own. */
  async #renew(id: string, signal: AbortSignal): Promise<boolean> {
    const { clock, requestTimeout } = this.#caller.options;
    const since = clock.now();
    const connection = await this.#caller.connection();
    const what = `etcd ${connection.endpoint}: renew lease ${id}`;
    try {
      return await limited({ clock, timeout: requestTimeout, signal, what }, async (cancelled) => {
        const stream = await connection.stream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>(
          "Lease",
          "leaseKeepAlive",
          cancelled,
        );
        const answer = new Promise<ILeaseKeepAliveResponse>((resolve, reject) => {
          stream.on("data", resolve);
          stream.on("error", reject);
          stream.on("end", () => reject(new StoreError("UNAVAILABLE", `${what}: the stream ended`)));
          cancelled.addEventListener("abort", () => reject(cancelled.reason), { once: true });
        });
        try {
          stream.write({ ID: id });
          return BigInt((await answer).TTL) > 0n; // lease.go: 0 when the lease is not found
        } finally {
          stream.cancel();
        }
      });
    } catch (e) {
      const error = toStoreError(e, what);
      if (!signal.aborted) this.#caller.report(connection, since, error);
      throw this.#closed ? closedError() : error;
    }
  }

  async #revoke(id: string): Promise<void> {
    try {
      await this.#caller.unary("Lease", "leaseRevoke", { ID: id }, "revoke a lease");
    } catch (e) {
      if (!hasStatus(e, GrpcStatus.NOT_FOUND)) throw e; // gone already
    }
  }
}
