import { type Clock, millis, type Timer } from "../../base/clock/clock.ts";
import { fullMessage } from "../../base/errors/errors.ts";
import { type Compare, type Entry, type Position, StoreError, type TxnOutcome } from "../api/store.ts";
import type { EmbeddedFile } from "./file.ts";
import { type Commit, EmbeddedState, type StateWrite } from "./state.ts";

/** A transaction's worth of operations is taken at once, so that a flood of them does not hold the loop for long. */
const MAX_BATCH = 256;

export interface EngineOptions {
  readonly clock: Clock;
  readonly state: EmbeddedState;
  /** Absent: nothing outlives the process. */
  readonly file?: EmbeddedFile | undefined;
  /** Transactions kept for watches that resume; older ones get a snapshot. */
  readonly historyLength: number;
}

/** What a watch starts with; then `onCommit` is called for every later transaction, each once, in order. */
export type SubscriptionStart =
  | {
      readonly kind: "snapshot";
      readonly entries: readonly Entry[];
      readonly position: Position;
      readonly rewound: boolean;
    }
  | { readonly kind: "resumed"; readonly commits: readonly Commit[]; readonly position: Position };

export interface SubscribeFrom {
  /** Continue after this point if that is still possible. */
  readonly resume?: Position | undefined;
  /** Only to tell whether history went back. */
  readonly seen?: Position | undefined;
}

export interface Subscription {
  readonly start: SubscriptionStart;
  cancel(): void;
}

interface Subscriber {
  /** Commits up to this one are part of what the subscription started with. */
  readonly after: number;
  readonly onCommit: (commit: Commit, position: Position) => void;
}

interface Operation {
  readonly run: (batch: Batch) => unknown;
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
}

class Batch {
  readonly commits: Commit[] = [];
  readonly keys = new Set<string>();
  readonly leases = new Set<string>();

  add(commit: Commit): void {
    if (commit.events.length === 0) return;
    this.commits.push(commit);
    for (const [key] of commit.events) this.keys.add(key);
  }
}

/**
 * Runs every operation, reads too, one after the other in batches: applied to the state in memory, written in one commit
 * of the file, then answered and told to the watches. So nobody ever sees what a crash could take back; if the file
 * can't be written, the batch is undone and all of it rejected.
 */
export class EmbeddedEngine {
  readonly #clock: Clock;
  readonly #state: EmbeddedState;
  readonly #file: EmbeddedFile | undefined;
  readonly #historyLength: number;
  #history: Commit[] = [];
  #published: number;
  #queue: Operation[] = [];
  #running: Promise<void> | undefined;
  #closed = false;
  readonly #subscribers = new Set<Subscriber>();
  /** When each lease ends ({@link Clock.now}); not in the file: a restart grants all of them their whole time anew. */
  readonly #expiry = new Map<string, number>();
  #expiryTimer: Timer | undefined;

  constructor(options: EngineOptions) {
    this.#clock = options.clock;
    this.#state = options.state;
    this.#file = options.file;
    this.#historyLength = options.historyLength;
    this.#published = this.#state.revision;
    for (const { id, ttl } of this.#state.leases.values()) this.#expiry.set(id, this.#clock.now() + ttl * 1000);
    this.#scheduleExpiry();
  }

  get(key: string): Promise<Entry | undefined> {
    return this.#enqueue(() => this.#state.get(key));
  }

  list(prefix: string): Promise<readonly Entry[]> {
    return this.#enqueue(() => this.#state.list(prefix));
  }

  txn(compare: readonly Compare[], writes: readonly StateWrite[]): Promise<TxnOutcome & { readonly written: number }> {
    return this.#enqueue((batch) => {
      const commit = this.#state.txn(compare, writes);
      if (!commit) return { succeeded: false, written: 0 };
      batch.add(commit);
      return { succeeded: true, revision: String(commit.revision), written: commit.events.length };
    });
  }

  ping(): Promise<void> {
    return this.#enqueue(() => undefined);
  }

  /** `ttl` in seconds. */
  grant(ttl: number): Promise<string> {
    return this.#enqueue((batch) => {
      const { id } = this.#state.grant(ttl);
      batch.leases.add(id);
      this.#expiry.set(id, this.#clock.now() + ttl * 1000);
      this.#scheduleExpiry();
      return id;
    });
  }

  /** Whether the lease still existed. */
  renew(id: string): Promise<boolean> {
    return this.#enqueue(() => {
      const lease = this.#state.leases.get(id);
      if (lease) this.#expiry.set(id, this.#clock.now() + lease.ttl * 1000);
      return lease !== undefined;
    });
  }

  /** Whether the lease still existed. */
  revoke(id: string): Promise<boolean> {
    return this.#enqueue((batch) => this.#revoke(id, batch));
  }

  subscribe(prefix: string, from: SubscribeFrom, onCommit: Subscriber["onCommit"]): Promise<Subscription> {
    const select = (commit: Commit): Commit => ({
      revision: commit.revision,
      events: commit.events.filter(([key]) => key.startsWith(prefix)),
    });
    return this.#enqueue(() => {
      const revision = this.#resumable(from.resume);
      const subscriber: Subscriber = {
        after: revision === undefined ? this.#state.revision : this.#published,
        onCommit: (commit, position) => onCommit(select(commit), position),
      };
      this.#subscribers.add(subscriber);
      const position = this.#position(subscriber.after);
      const start: SubscriptionStart =
        revision === undefined
          ? {
              kind: "snapshot",
              entries: this.#state.list(prefix),
              position,
              rewound: this.#isRewound(from.resume ?? from.seen),
            }
          : { kind: "resumed", commits: this.#history.filter((c) => c.revision > revision).map(select), position };
      return { start, cancel: () => void this.#subscribers.delete(subscriber) };
    });
  }

  /** Answers what was asked for before, then closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#expiryTimer?.cancel();
    await this.#running;
    this.#subscribers.clear();
    await this.#file?.close();
  }

  #enqueue<T>(run: (batch: Batch) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) throw new StoreError("UNAVAILABLE", "the embedded store is closed");
      this.#queue.push({ run, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    await Promise.resolve(); // operations of one turn share a batch
    while (this.#queue.length > 0) {
      const operations = this.#queue.splice(0, MAX_BATCH);
      await this.#runBatch(operations);
    }
    this.#running = undefined;
  }

  async #runBatch(operations: readonly Operation[]): Promise<void> {
    const batch = new Batch();
    const answers: (() => void)[] = [];
    for (const { run, resolve, reject } of operations) {
      try {
        const value = run(batch) as never;
        answers.push(() => resolve(value));
      } catch (e) {
        answers.push(() => reject(e)); // refused before it changed anything
      }
    }
    try {
      if (batch.keys.size + batch.leases.size > 0) await this.#file?.commit(this.#state, batch.keys, batch.leases);
    } catch (e) {
      this.#state.undo();
      const error = new StoreError("UNAVAILABLE", `the embedded store cannot write: ${fullMessage(e)}`, { cause: e });
      for (const { reject } of operations) reject(error);
      return;
    }
    this.#state.keep();
    for (const commit of batch.commits) this.#publish(commit);
    for (const answer of answers) answer();
  }

  #publish(commit: Commit): void {
    this.#published = commit.revision;
    this.#history.push(commit);
    // Trimmed by halves: cheap, and at least historyLength are kept.
    if (this.#history.length > 2 * this.#historyLength) this.#history = this.#history.slice(-this.#historyLength);
    const position = this.#position(commit.revision);
    for (const { after, onCommit } of this.#subscribers) if (commit.revision > after) onCommit(commit, position);
  }

  #revoke(id: string, batch: Batch): boolean {
    if (!this.#state.leases.has(id)) return false;
    batch.add(this.#state.revoke(id));
    batch.leases.add(id);
    return true;
  }

  #position(revision: number): Position {
    return `${this.#state.id}:${revision}`;
  }

  /** The revision to resume after, if every later commit is still known. */
  #resumable(resume: Position | undefined): number | undefined {
    if (resume === undefined || this.#isRewound(resume)) return undefined;
    const revision = Number(resume.slice(resume.lastIndexOf(":") + 1));
    const oldest = this.#history[0]?.revision ?? this.#published + 1;
    return revision + 1 >= oldest ? revision : undefined;
  }

  #isRewound(seen: Position | undefined): boolean {
    if (seen === undefined) return false;
    const at = seen.lastIndexOf(":");
    return seen.slice(0, at) !== this.#state.id || !(Number(seen.slice(at + 1)) <= this.#published);
  }

  #scheduleExpiry(): void {
    this.#expiryTimer?.cancel();
    const next = Math.min(...this.#expiry.values());
    if (next === Number.POSITIVE_INFINITY || this.#closed) return;
    this.#expiryTimer = this.#clock.schedule(millis(Math.max(0, next - this.#clock.now())), () => this.#expire());
  }

  #expire(): void {
    const now = this.#clock.now();
    const revoked: Promise<unknown>[] = [];
    for (const [id, at] of this.#expiry) {
      // Looked at again inside the batch: a renewal may have come first.
      if (at <= now) revoked.push(this.#enqueue((batch) => this.#expiry.get(id) === at && this.#revoke(id, batch)));
    }
    void Promise.allSettled(revoked).then(() => {
      for (const id of this.#expiry.keys()) if (!this.#state.leases.has(id)) this.#expiry.delete(id);
      // After a failed write the lease is still there and still due; once a second is often enough to try again.
      for (const [id, at] of this.#expiry) if (at <= now) this.#expiry.set(id, this.#clock.now() + 1000);
      this.#scheduleExpiry();
    });
  }
}
