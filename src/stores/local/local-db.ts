import { ClosedError, toError } from "../../base/errors/errors.ts";
import { LocalDbError } from "./errors.ts";
import type { DbSynchronous, DbValue, DbValueKind, DbWrite } from "./protocol.ts";
import { DbThread } from "./thread.ts";

export { isUnreadable, LocalDbError, type LocalDbErrorCode } from "./errors.ts";
export type { DbSynchronous, DbValue, DbWrite } from "./protocol.ts";
export { DbThread } from "./thread.ts";

export interface LocalDbOptions {
  /** `full` if absent: a commit that was answered survives power loss. */
  readonly synchronous?: DbSynchronous;
  /** A thread shared with other databases; if absent the database has its own and ends it on close. */
  readonly thread?: DbThread;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/**
 * What this node must remember by itself, as keys and values in one file. The disk is only touched in another thread.
 *
 * Commits that arrive while one is on its way to the disk are merged into one transaction, so that a burst of them
 * costs few syncs. The merged ones succeed or fail together.
 */
export class LocalDb<V extends DbValue = string> implements AsyncDisposable {
  readonly path: string;
  readonly #thread: DbThread;
  readonly #ownsThread: boolean;
  readonly #db: number;
  readonly #kind: DbValueKind;
  #queued = new Map<string, V | undefined>();
  #waiters: Waiter[] = [];
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  private constructor(path: string, kind: DbValueKind, thread: DbThread, ownsThread: boolean) {
    this.path = path;
    this.#kind = kind;
    this.#thread = thread;
    this.#ownsThread = ownsThread;
    this.#db = thread.allocate();
  }

  /**
   * Opens the file, or creates it. Rejects with {@link LocalDbError}: a damaged file and one of a newer version are
   * reported, never replaced.
   */
  static open(path: string, options: LocalDbOptions = {}): Promise<LocalDb> {
    return LocalDb.#open<string>(path, "text", options);
  }

  /** The same for values that are bytes. */
  static openBytes(path: string, options: LocalDbOptions = {}): Promise<LocalDb<Uint8Array>> {
    return LocalDb.#open<Uint8Array>(path, "bytes", options);
  }

  static async #open<V extends DbValue>(path: string, values: DbValueKind, options: LocalDbOptions) {
    const thread = options.thread ?? DbThread.start();
    const db = new LocalDb<V>(path, values, thread, !options.thread);
    try {
      await thread.request({ op: "open", db: db.#db, path, values, synchronous: options.synchronous ?? "full" });
    } catch (e) {
      if (!options.thread) await thread.close();
      throw e;
    }
    return db;
  }

  /** Entries whose key starts with `prefix`, in key order, after every commit made so far. */
  async load(prefix: string): Promise<Map<string, V>> {
    this.#checkOpen();
    await this.#flushing;
    const rows = await this.#thread.request({ op: "load", db: this.#db, prefix });
    return new Map(rows as (readonly [string, V])[]);
  }

  /**
   * All writes or none; later ones win over earlier ones of the same key, `undefined` deletes. Resolves when they are
   * as durable as {@link LocalDbOptions.synchronous} says. After a rejection none of them is kept.
   */
  commit(writes: Iterable<DbWrite<V>>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#checkOpen();
      const checked = [...writes];
      for (const write of checked) this.#checkWrite(write);
      for (const [key, value] of checked) this.#queued.set(key, value);
      this.#waiters.push({ resolve, reject });
      this.#flushing ??= this.#flush();
    });
  }

  /** Waits for the commits under way, then closes the file. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    await this.#flushing;
    try {
      await this.#thread.request({ op: "close", db: this.#db });
    } finally {
      if (this.#ownsThread) await this.#thread.close();
    }
  }

  /** Never rejects: failures go to those who committed. */
  async #flush(): Promise<void> {
    await Promise.resolve(); // commits of the same turn go together, and #flushing is set before it is unset
    while (this.#waiters.length > 0) {
      const waiters = this.#waiters;
      const writes = [...this.#queued];
      this.#waiters = [];
      this.#queued = new Map();
      try {
        if (writes.length > 0) await this.#thread.request({ op: "commit", db: this.#db, writes });
        for (const { resolve } of waiters) resolve();
      } catch (e) {
        for (const { reject } of waiters) reject(toError(e));
      }
    }
    this.#flushing = undefined;
  }

  #checkOpen(): void {
    if (this.#closing) throw new ClosedError(`local database ${this.path}`);
  }

  #checkWrite([key, value]: DbWrite<V>): void {
    const type = this.#kind === "text" ? typeof value === "string" : value instanceof Uint8Array;
    if (key === "" || !key.isWellFormed() || (value !== undefined && !type)) {
      const what = `key ${JSON.stringify(key.slice(0, 100))} or the type of its value`;
      throw new LocalDbError("INVALID", `local database ${this.path}: ${what} cannot be stored`);
    }
  }
}
