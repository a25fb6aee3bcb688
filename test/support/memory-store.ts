import type {
  CallOptions,
  Compare,
  Entry,
  Lease,
  Revision,
  Snapshot,
  Store,
  StoreChange,
  TxnOutcome,
  Watch,
  WatchItem,
  WriteOp,
} from "../../src/stores/api/store.ts";

type Op = "bulk" | "delete" | "get" | "lease" | "list" | "ping" | "put" | "txn";

export interface MemoryStoreHooks {
  /** Awaited before a call takes effect: lets a test decide in which order the calls of several clients do. */
  readonly before?: (op: Op, client: string) => Promise<void> | void;
  /** Awaited after it took effect and before its answer; throwing loses the answer. */
  readonly after?: (op: Op, client: string) => Promise<void> | void;
}

/** What several {@link MemoryStore} clients share. */
export class MemoryStoreData {
  readonly entries = new Map<string, Entry>();
  readonly watches = new Set<MemoryWatch>();
  #revision = 0;
  /** How many changes were made. */
  writes = 0;

  apply(writes: readonly WriteOp[]): Revision {
    const revision = String(++this.#revision);
    const changes: StoreChange[] = [];
    for (const write of writes) {
      const old = this.entries.get(write.key);
      if (write.op === "delete") {
        if (!old) continue;
        this.entries.delete(write.key);
        changes.push({ key: write.key, old, new: undefined });
      } else {
        const entry = { key: write.key, value: write.value, revision };
        this.entries.set(write.key, entry);
        changes.push({ key: write.key, old, new: entry });
      }
    }
    this.writes += changes.length;
    for (const watch of this.watches) watch.deliver(changes);
    return revision;
  }

  list(prefix: string): Entry[] {
    const found = [...this.entries.values()].filter((e) => e.key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

/** A store in memory: atomic, always there, in no hurry. Several clients of one {@link MemoryStoreData} make a cluster. */
export class MemoryStore implements Store {
  readonly kind = "memory";
  readonly data: MemoryStoreData;
  readonly #hooks: MemoryStoreHooks;
  readonly #client: string;

  constructor(data = new MemoryStoreData(), hooks: MemoryStoreHooks = {}, client = "test") {
    this.data = data;
    this.#hooks = hooks;
    this.#client = client;
  }

  get(key: string, options?: CallOptions): Promise<Entry | undefined> {
    return this.#call("get", options, () => this.data.entries.get(key));
  }

  list(prefix: string, options?: CallOptions): Promise<Snapshot> {
    return this.#call("list", options, () => ({ entries: this.data.list(prefix) }));
  }

  put(key: string, value: Uint8Array, options?: CallOptions & { lease?: Lease }): Promise<Revision> {
    return this.#call("put", options, () => this.data.apply([{ op: "put", key, value }]));
  }

  delete(key: string, options?: CallOptions): Promise<boolean> {
    return this.#call("delete", options, () => {
      const existed = this.data.entries.has(key);
      this.data.apply([{ op: "delete", key }]);
      return existed;
    });
  }

  txn(compare: readonly Compare[], writes: readonly WriteOp[], options?: CallOptions): Promise<TxnOutcome> {
    return this.#call("txn", options, (): TxnOutcome => {
      const holds = compare.every((c) => this.data.entries.get(c.key)?.revision === c.revision);
      return holds ? { succeeded: true, revision: this.data.apply(writes) } : { succeeded: false };
    });
  }

  bulk(writes: readonly WriteOp[], options?: CallOptions): Promise<void> {
    return this.#call("bulk", options, () => {
      this.data.apply(writes);
    });
  }

  snapshotAndWatch(prefix: string): Watch {
    const watch = new MemoryWatch(prefix, this.data);
    this.data.watches.add(watch);
    return watch;
  }

  lease(_ttl: number, options?: CallOptions): Promise<Lease> {
    const { promise: lost, resolve } = Promise.withResolvers<void>();
    return this.#call("lease", options, () => ({ id: "1", lost, revoke: async () => resolve() }));
  }

  ping(options?: CallOptions): Promise<void> {
    return this.#call("ping", options, () => {});
  }

  async close(): Promise<void> {
    for (const watch of this.data.watches) await watch.close();
  }

  async #call<T>(op: Op, options: CallOptions | undefined, body: () => T): Promise<T> {
    await this.#hooks.before?.(op, this.#client);
    options?.signal?.throwIfAborted();
    const result = body();
    await this.#hooks.after?.(op, this.#client);
    return result;
  }
}

class MemoryWatch implements Watch {
  readonly #prefix: string;
  readonly #data: MemoryStoreData;
  readonly #queue: WatchItem[] = [];
  #wake = Promise.withResolvers<void>();
  #closed = false;

  constructor(prefix: string, data: MemoryStoreData) {
    this.#prefix = prefix;
    this.#data = data;
    const entries = data.list(prefix);
    const changes = entries.map((entry) => ({ key: entry.key, old: undefined, new: entry }));
    this.#queue.push({ kind: "snapshot", entries, changes });
  }

  deliver(all: readonly StoreChange[]): void {
    const changes = all.filter((c) => c.key.startsWith(this.#prefix));
    if (changes.length > 0) this.push({ kind: "changes", changes });
  }

  /** What a test makes up: a snapshot after a gap. */
  push(item: WatchItem): void {
    this.#queue.push(item);
    this.#wake.resolve();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchItem> {
    while (!this.#closed) {
      const item = this.#queue.shift();
      if (item) {
        yield item;
        continue;
      }
      this.#wake = Promise.withResolvers<void>();
      await this.#wake.promise;
    }
  }

  staleFor(): number {
    return 0;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#data.watches.delete(this);
    this.#wake.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
