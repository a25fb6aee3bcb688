import { HeddleError } from "../../base/errors/errors.ts";

/** A point in a store's history. Opaque: compare for equality only. */
export type Revision = string;

export interface Entry {
  readonly key: string;
  readonly value: Uint8Array;
  /** Of the entry's last change; what {@link Compare} takes. */
  readonly revision: Revision;
}

/** Condition of a transaction: the key's current revision, or `undefined` for "does not exist". */
export interface Compare {
  readonly key: string;
  readonly revision: Revision | undefined;
}

export type WriteOp =
  | { readonly op: "put"; readonly key: string; readonly value: Uint8Array; readonly lease?: Lease }
  | { readonly op: "delete"; readonly key: string };

export interface TxnOutcome {
  /** Whether every comparison held. If not, nothing was written. */
  readonly succeeded: boolean;
  /** Revision of the written entries when it succeeded. */
  readonly revision?: Revision;
}

export interface Snapshot {
  readonly entries: readonly Entry[];
}

/** A change as a consumer sees it: relative to what the same watch delivered before. */
export interface StoreChange {
  readonly key: string;
  /** As last delivered; undefined when the key is new. */
  readonly old: Entry | undefined;
  /** Undefined when the key is gone. */
  readonly new: Entry | undefined;
}

/**
 * What a watch yields. The first item is always a snapshot. A later snapshot means that there was a gap (compaction, data
 * loss); `changes` are the differences to what was delivered before, and consumers that only apply `changes` stay right.
 *
 * Changes that wait for a slow consumer are merged per key, so that no more than one waits for each; they come in the
 * order of their last revision. Changes of one transaction are never in different items.
 */
export type WatchItem = SnapshotItem | ChangesItem;

export interface SnapshotItem {
  readonly kind: "snapshot";
  /** In key order. */
  readonly entries: readonly Entry[];
  readonly changes: readonly StoreChange[];
  /** Where in the store's history this is; a token for {@link WatchOptions.seen}. */
  readonly position?: Position;
  /** The store lacks history that was seen before: its data was lost, or an older backup restored. */
  readonly rewound?: true;
  /** From the node's local copy, because the store could not be reached; the store's differences follow when it can. */
  readonly fromMirror?: true;
}

export interface ChangesItem {
  readonly kind: "changes";
  readonly changes: readonly StoreChange[];
  readonly position?: Position;
}

/** Names a store and a point in its history. Opaque. */
export type Position = string;

/** To be iterated once. Ends when it or its store is closed; throws only the reason of an aborted signal. */
export interface Watch extends AsyncIterable<WatchItem>, AsyncDisposable {
  /** Milliseconds since this watch was last known to be current; 0 while connected and caught up with the store. */
  staleFor(): number;
  close(): Promise<void>;
}

/** Keeps entries alive while its holder lives. Renewed by itself until {@link revoke} or loss. */
export interface Lease {
  readonly id: string;
  /** Resolves when the lease is lost (expired while disconnected, or revoked by somebody); its entries are gone. */
  readonly lost: Promise<void>;
  /** Ends the lease and deletes its entries. */
  revoke(): Promise<void>;
}

export interface CallOptions {
  /** Rejects the call with the signal's reason. */
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends CallOptions {
  /** The latest position known from earlier, perhaps of an earlier process: lets the first snapshot say `rewound`. */
  readonly seen?: Position;
}

/**
 * The store that a cluster's agents share. Keys are `/`-separated text, values bytes. Every call rejects with
 * {@link StoreError}; `UNAVAILABLE` may be repeated, and says nothing on whether a write took effect.
 */
export interface Store {
  /** `"etcd"` or `"embedded"`, and where. */
  readonly kind: string;
  get(key: string, options?: CallOptions): Promise<Entry | undefined>;
  /** In key order. */
  list(prefix: string, options?: CallOptions): Promise<Snapshot>;
  put(key: string, value: Uint8Array, options?: CallOptions & { lease?: Lease }): Promise<Revision>;
  /** Whether it existed. */
  delete(key: string, options?: CallOptions): Promise<boolean>;
  /** All or nothing: every write happens if every comparison holds. */
  txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions): Promise<TxnOutcome>;
  /** Many independent writes, as fast as the store takes them; not atomic. Rejects if any failed, after trying all. */
  bulk(writes: readonly WriteOp[], options?: CallOptions): Promise<void>;
  /** One consistent snapshot, then every change in order, once each. Survives disconnection. */
  snapshotAndWatch(prefix: string, options?: WatchOptions): Watch;
  /** `ttl` in seconds. */
  lease(ttl: number, options?: CallOptions): Promise<Lease>;
  /** Rejects unless the store answers now. */
  ping(options?: CallOptions): Promise<void>;
  close(): Promise<void>;
}

export type StoreErrorCode =
  /** Not reachable or not answering; worth repeating. */
  | "UNAVAILABLE"
  /** The credentials or the certificate were refused; correct the configuration. */
  | "UNAUTHENTICATED"
  /** The lease no longer exists. */
  | "LEASE_LOST"
  /** The request cannot be right: empty key, value above the size limit, a key written twice in a transaction. */
  | "INVALID";

export class StoreError extends HeddleError<StoreErrorCode> {}

/** Bytes of keys and values that a store takes in one call; etcd's default. Above, calls reject with `INVALID`. */
export const MAX_REQUEST_BYTES = 1536 * 1024;

/** Operations that a store takes in one transaction; etcd's default. */
export const MAX_TXN_OPS = 128;

export const isUnavailable = (e: unknown): boolean => e instanceof StoreError && e.code === "UNAVAILABLE";
