import { randomUUID } from "node:crypto";
import { type Compare, type Entry, StoreError } from "../api/store.ts";
import type { FeedEvent } from "../common/feed.ts";
import { lowerBound } from "../common/keys.ts";

/** A write whose lease is named by its id. */
export interface StateWrite {
  readonly key: string;
  /** Undefined deletes. */
  readonly value: Uint8Array | undefined;
  readonly lease?: string | undefined;
}

export interface StoredLease {
  readonly id: string;
  /** Seconds. */
  readonly ttl: number;
  readonly keys: Set<string>;
}

/** What one transaction did, in the terms of a watch. */
export interface Commit {
  readonly revision: number;
  readonly events: readonly FeedEvent[];
}

export interface LoadedState {
  readonly id: string;
  readonly revision: number;
  readonly entries: Iterable<{ readonly entry: Entry; readonly lease: string | undefined }>;
  readonly leases: Iterable<{ readonly id: string; readonly ttl: number }>;
}

/**
 * The embedded store's content: entries in key order, leases, and the revision counter. Purely in memory and
 * synchronous; every change is noted in an undo log until {@link keep}, because it only counts once it is on disk.
 */
export class EmbeddedState {
  /** Of the data, not of the process: made when the store is created, kept with it. */
  readonly id: string;
  #revision: number;
  readonly #entries = new Map<string, Entry>();
  readonly #leaseOf = new Map<string, string>();
  readonly #keys: string[] = [];
  readonly #leases = new Map<string, StoredLease>();
  #undo: (() => void)[] = [];

  constructor(loaded?: LoadedState) {
    this.id = loaded?.id ?? randomUUID();
    this.#revision = loaded?.revision ?? 0;
    for (const { id, ttl } of loaded?.leases ?? []) this.#leases.set(id, { id, ttl, keys: new Set() });
    for (const { entry, lease } of loaded?.entries ?? []) {
      this.#keys.push(entry.key); // the file yields them in order
      this.#entries.set(entry.key, entry);
      if (lease !== undefined) this.#attach(entry.key, lease);
    }
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  leaseOf(key: string): string | undefined {
    return this.#leaseOf.get(key);
  }

  /** In key order. */
  list(prefix: string): Entry[] {
    const found: Entry[] = [];
    for (let i = lowerBound(this.#keys, prefix); i < this.#keys.length; i++) {
      const key = this.#keys[i] as string;
      if (!key.startsWith(prefix)) break;
      found.push(this.#entries.get(key) as Entry);
    }
    return found;
  }

  get leases(): ReadonlyMap<string, StoredLease> {
    return this.#leases;
  }

  /** Undefined when a comparison does not hold. @throws StoreError `LEASE_LOST` before anything is changed. */
  txn(compare: readonly Compare[], writes: readonly StateWrite[]): Commit | undefined {
    for (const { lease } of writes) if (lease !== undefined) this.#lease(lease);
    if (!compare.every((c) => this.#entries.get(c.key)?.revision === c.revision)) return undefined;
    return this.#write(writes);
  }

  grant(ttl: number): StoredLease {
    const lease: StoredLease = { id: randomUUID(), ttl, keys: new Set() };
    this.#leases.set(lease.id, lease);
    this.#undo.push(() => this.#leases.delete(lease.id));
    return lease;
  }

  /** Deletes the lease's entries and the lease. */
  revoke(id: string): Commit {
    const lease = this.#lease(id);
    const commit = this.#write([...lease.keys].sort().map((key) => ({ key, value: undefined })));
    this.#leases.delete(id);
    this.#undo.push(() => this.#leases.set(id, lease));
    return commit;
  }

  /** Everything done so far stays. */
  keep(): void {
    this.#undo = [];
  }

  /** Takes back everything done since the last {@link keep}. */
  undo(): void {
    for (const step of this.#undo.reverse()) step();
    this.#undo = [];
  }

  #lease(id: string): StoredLease {
    const lease = this.#leases.get(id);
    if (!lease) throw new StoreError("LEASE_LOST", `lease ${id} no longer exists`);
    return lease;
  }

  #write(writes: readonly StateWrite[]): Commit {
    const before = this.#revision;
    const effective = writes.filter((w) => w.value !== undefined || this.#entries.has(w.key));
    if (effective.length === 0) return { revision: before, events: [] };
    this.#revision++;
    this.#undo.push(() => (this.#revision = before));
    const revision = String(this.#revision);
    const events = effective.map(({ key, value, lease }): FeedEvent => {
      const oldEntry = this.#entries.get(key);
      const oldLease = this.#leaseOf.get(key);
      this.#undo.push(() => this.#set(key, oldEntry, oldLease));
      const entry = value && { key, value, revision };
      this.#set(key, entry, lease);
      return [key, entry];
    });
    return { revision: this.#revision, events };
  }

  #set(key: string, entry: Entry | undefined, lease: string | undefined): void {
    if (entry && !this.#entries.has(key)) this.#keys.splice(lowerBound(this.#keys, key), 0, key);
    if (!entry && this.#entries.has(key)) this.#keys.splice(lowerBound(this.#keys, key), 1);
    if (entry) this.#entries.set(key, entry);
    else this.#entries.delete(key);
    const previous = this.#leaseOf.get(key);
    if (previous !== undefined) this.#leases.get(previous)?.keys.delete(key);
    this.#leaseOf.delete(key);
    if (lease !== undefined && entry) this.#attach(key, lease);
  }

  #attach(key: string, lease: string): void {
    this.#leaseOf.set(key, lease);
    this.#leases.get(lease)?.keys.add(key);
  }
}
