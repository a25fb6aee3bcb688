import { type Clock, type Duration, millis, seconds, systemClock } from "../base/clock/clock.ts";
import { ClosedError, OverloadedError } from "../base/errors/errors.ts";
import type { Descriptor, Key, KeyValue } from "./api/descriptor.ts";
import type { RecordedTxn } from "./api/record.ts";
import type { Scheduler, StatusFilter, StatusWatch, Txn, TxnResult } from "./api/scheduler.ts";
import type { ValueStatus } from "./api/status.ts";
import { Graph } from "./graph/graph.ts";
import { isDerived, type Node, type Source, stateOf } from "./graph/node.ts";
import { Registry } from "./graph/registry.ts";
import { Caller } from "./txn/call.ts";
import { History, type HistoryBounds } from "./txn/history.ts";
import { type ProcessDeps, type Processed, processWork, type Work } from "./txn/process.ts";
import { Refresh } from "./txn/refresh.ts";
import { statusOf } from "./txn/report.ts";
import { Retries } from "./txn/retry.ts";
import type { ExecuteSettings } from "./txn/settings.ts";
import type { StagingLog } from "./txn/staging.ts";
import { checkTxn, lateWork, northboundWork, notificationWork, retryWork, unimplementedWork } from "./txn/works.ts";
import { Watcher } from "./watch.ts";

export interface SchedulerOptions {
  /** The system's clock if absent. */
  readonly clock?: Clock;
  /** Told of what is skipped, ignored, or cannot be read. Silent if absent. */
  readonly log?: StagingLog;
  readonly defaults?: {
    /** One operation; 2 s if absent. */
    readonly deadline?: Duration;
    /** Reading a key space; 30 s if absent. */
    readonly retrieveDeadline?: Duration;
    /** Operations of one descriptor at once; 16 if absent. */
    readonly concurrency?: number;
  };
  /** Operations of all descriptors at once; 64 if absent. */
  readonly concurrency?: number;
  /** How long a commit group waits for operations outside of it before it commits what is ready; 200 ms if absent. */
  readonly groupPatience?: Duration;
  /** Transactions that may wait; more are refused with OverloadedError. 10,000 if absent. */
  readonly queue?: number;
  readonly history?: HistoryBounds;
  /** Sources whose precedence is not 0: of several values for one key the one with the highest precedence is applied. */
  readonly precedence?: Readonly<Record<string, number>>;
  /** Numbers in [0, 1), for the jitter of retries. */
  readonly random?: () => number;
}

/** Makes a scheduler. It is idle until the first transaction, and owns no timer while nothing is to be waited for. */
export function createScheduler(options: SchedulerOptions = {}): Scheduler {
  return new KvScheduler(options);
}

interface Queued {
  readonly work: Work;
  readonly settle: ((result: Processed | undefined, error: Error | undefined) => void) | undefined;
}

class KvScheduler implements Scheduler {
  readonly #registry = new Registry();
  readonly #graph = new Graph(this.#registry);
  readonly #clock: Clock;
  readonly #log: StagingLog;
  readonly #settings: ExecuteSettings;
  readonly #caller: Caller;
  readonly #refresh: Refresh;
  readonly #retries: Retries;
  readonly #history: History;
  readonly #deps: ProcessDeps;
  readonly #sources = new Map<string, Source>();
  readonly #precedence: Readonly<Record<string, number>>;
  readonly #maxQueue: number;
  readonly #queue: Queued[] = [];
  /** Notifications that have not reached the queue's head yet; those that come meanwhile join them. */
  #notices: Map<Key, unknown> | undefined;
  readonly #watchers = new Set<Watcher>();
  #seq = 0;
  #busy = false;
  #closed = false;
  #refreshed = false;
  #synced = false;
  #idle: (() => void)[] = [];

  constructor(options: SchedulerOptions) {
    const clock = options.clock ?? systemClock;
    this.#clock = clock;
    this.#log = options.log ?? { warn: () => undefined };
    this.#settings = {
      clock,
      deadline: options.defaults?.deadline ?? seconds(2),
      perDescriptor: options.defaults?.concurrency ?? 16,
      total: options.concurrency ?? 64,
      groupPatience: options.groupPatience ?? millis(200),
    };
    this.#caller = new Caller(this.#graph, clock);
    this.#refresh = new Refresh({
      caller: this.#caller,
      clock,
      deadline: options.defaults?.retrieveDeadline ?? seconds(30),
      log: this.#log,
    });
    this.#retries = new Retries(clock, options.random ?? Math.random, (tickets) =>
      this.#enqueue(retryWork(tickets, clock)),
    );
    this.#history = new History(options.history);
    this.#precedence = options.precedence ?? {};
    this.#maxQueue = options.queue ?? 10_000;
    this.#deps = {
      graph: this.#graph,
      caller: this.#caller,
      refresh: this.#refresh,
      settings: this.#settings,
      log: this.#log,
      isWatched: () => this.#watchers.size > 0,
      onLate: (n) => this.#enqueue(lateWork(n, (staging) => this.#refresh.keys(staging, [n]), clock)),
    };
  }

  register<V, M>(descriptor: Descriptor<V, M>): void {
    const entry = this.#registry.register(descriptor);
    const waiting: Node[] = [];
    for (const n of this.#graph.nodes.values()) {
      if (n.descriptor === undefined && this.#registry.forKey(n.key) === entry) waiting.push(n);
    }
    if (waiting.length > 0) this.#enqueue(unimplementedWork(entry, waiting, this.#clock));
  }

  transact(txn: Txn): Promise<TxnResult> {
    if (this.#closed) return Promise.reject(new ClosedError("scheduler"));
    if (this.#queue.length >= this.#maxQueue) {
      return Promise.reject(new OverloadedError("the scheduler's queue", this.#maxQueue));
    }
    let work: Work;
    try {
      txn.signal?.throwIfAborted();
      work = northboundWork(txn, checkTxn(txn), {
        source: this.#source(txn.source ?? "default"),
        graph: this.#graph,
        clock: this.#clock,
        mayDiscard: () => txn.resync !== "downstream" || this.#synced,
      });
    } catch (e) {
      return Promise.reject(e);
    }
    return new Promise((resolve, reject) => {
      const { signal } = txn;
      const onAbort = (): void => reject(signal!.reason as Error);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#notices = undefined; // later notifications come after this transaction
      this.#enqueue(work, (result, error) => {
        signal?.removeEventListener("abort", onAbort);
        if (result === undefined) reject(error!);
        else resolve({ seq: result.seq, errors: result.errors, pending: result.pending, record: result.record });
      });
    });
  }

  notify(changes: Iterable<readonly [Key, unknown]>): void {
    if (this.#closed) return;
    const notices = this.#notices ?? new Map<Key, unknown>();
    for (const [key, value] of changes) {
      if (notices.has(key)) notices.delete(key); // the last word counts, in the order of last words
      notices.set(key, value);
    }
    if (this.#notices !== undefined || notices.size === 0) return;
    this.#notices = notices;
    const work = notificationWork(notices, this.#graph, this.#clock);
    this.#enqueue({
      ...work,
      stage: (staging) => {
        if (this.#notices === notices) this.#notices = undefined;
        return work.stage(staging);
      },
    });
  }

  status(key: Key): ValueStatus {
    const n = this.#graph.nodes.get(key);
    return n === undefined ? { key, state: "NONEXISTENT", derived: [] } : statusOf(this.#graph, n);
  }

  statuses(filter: StatusFilter = {}): ValueStatus[] {
    return this.#select(filter.prefix, (n) => {
      const state = stateOf(n);
      if (state === "NONEXISTENT") return false;
      if (filter.descriptor !== undefined && n.descriptor?.name !== filter.descriptor) return false;
      return filter.states === undefined || filter.states.includes(state);
    }).map((n) => statusOf(this.#graph, n));
  }

  watchStatus(filter: StatusFilter = {}, options: { readonly bound?: number } = {}): StatusWatch {
    const watcher = new Watcher(filter, Math.max(1, options.bound ?? 1000), (w) => this.#watchers.delete(w));
    if (this.#closed) watcher.close();
    else this.#watchers.add(watcher);
    return watcher;
  }

  dump(view: "northbound" | "cached", prefix?: Key): KeyValue[] {
    if (view === "northbound") {
      return this.#select(prefix, (n) => n.owner !== undefined).map((n) => ({ key: n.key, value: n.nb }));
    }
    return this.#select(prefix, (n) => n.present && (n.descriptor !== undefined || isDerived(n))).map((n) => ({
      key: n.key,
      value: n.actual,
    }));
  }

  metadata<M>(key: Key): M | undefined {
    const n = this.#graph.nodes.get(key);
    return n?.present ? (n.metadata as M) : undefined;
  }

  history(): readonly RecordedTxn[] {
    return this.#history.list();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retries.close();
    this.#caller.abort();
    for (const q of this.#queue.splice(0)) q.settle?.(undefined, new ClosedError("scheduler"));
    if (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#caller.close();
    for (const w of this.#watchers) w.close();
  }

  #publish({ changed }: Processed): void {
    if (this.#watchers.size === 0) return;
    for (const { node, state, previous } of changed) {
      const status = { ...statusOf(this.#graph, node), state };
      for (const w of this.#watchers) w.offer({ status, previous });
    }
  }

  #source(name: string): Source {
    let source = this.#sources.get(name);
    if (source === undefined) {
      source = { name, precedence: this.#precedence[name] ?? 0 };
      this.#sources.set(name, source);
    }
    return source;
  }

  #select(prefix: Key | undefined, test: (n: Node) => boolean): Node[] {
    const found: Node[] = [];
    for (const n of this.#graph.nodes.values()) {
      if ((prefix === undefined || n.key.startsWith(prefix)) && test(n)) found.push(n);
    }
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  #enqueue(work: Work, settle?: Queued["settle"]): void {
    if (this.#closed) {
      settle?.(undefined, new ClosedError("scheduler"));
      return;
    }
    this.#queue.push({ work, settle });
    if (!this.#busy) void this.#pump(); // never rejects; close() waits for its end
  }

  async #pump(): Promise<void> {
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const { work, settle } = next;
      const seq = ++this.#seq;
      try {
        const result = await processWork(this.#deps, seq, work, !this.#refreshed);
        if (work.dryRun !== true) {
          if (work.resync === "full" || work.resync === "downstream") this.#refreshed = true;
          if (work.resync === "full" || work.resync === "upstream") this.#synced = true;
          if (!this.#closed) this.#retries.schedule(result.retries);
        }
        this.#history.add(result.record);
        this.#publish(result);
        settle?.(result, undefined);
      } catch (e) {
        this.#log.warn("transaction broke off", { seq, error: e });
        settle?.(undefined, e as Error);
      }
    }
    this.#busy = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }
}
