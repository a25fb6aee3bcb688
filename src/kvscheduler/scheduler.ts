import { type Clock, millis, seconds, systemClock } from "../base/clock/clock.ts";
import { ClosedError, OverloadedError } from "../base/errors/errors.ts";
import type { Descriptor, Key, KeyValue } from "./api/descriptor.ts";
import type { GraphFilter, GraphView, TimelineEntry } from "./api/graph-view.ts";
import type { RecordedTxn } from "./api/record.ts";
import type { Invalid, Scheduler, StatusFilter, StatusWatch, Txn, TxnResult } from "./api/scheduler.ts";
import type { SouthboundDump, SouthboundFilter } from "./api/southbound.ts";
import type { SchedulerStats } from "./api/stats.ts";
import type { ValueStatus } from "./api/status.ts";
import { Graph } from "./graph/graph.ts";
import type { Node } from "./graph/node.ts";
import { Registry } from "./graph/registry.ts";
import { type SchedulerOptions, sourcesOf } from "./options.ts";
import { Caller } from "./txn/call.ts";
import { Counters } from "./txn/counters.ts";
import { processDry } from "./txn/dry-run.ts";
import { History } from "./txn/history.ts";
import { type ProcessDeps, type Processed, processWork, type Work } from "./txn/process.ts";
import { JobQueue } from "./txn/queue.ts";
import { dumpOf, statusesOf } from "./txn/read.ts";
import { Refresh } from "./txn/refresh.ts";
import { statusOf } from "./txn/report.ts";
import { Retries } from "./txn/retry.ts";
import type { ExecuteSettings } from "./txn/settings.ts";
import { Sources } from "./txn/sources.ts";
import { dumpSouthbound } from "./txn/southbound.ts";
import { Suspensions } from "./txn/suspensions.ts";
import { due, inTurns, type Steps, Turn } from "./txn/turn.ts";
import { invalidOnes } from "./txn/validate.ts";
import { countStates, timelineOf, viewOf } from "./txn/view.ts";
import * as works from "./txn/works.ts";
import { Watcher } from "./watch.ts";

export type { SchedulerOptions } from "./options.ts";

/** Makes a scheduler. It is idle until the first transaction, and owns no timer while nothing is to be waited for. */
export function createScheduler(options: SchedulerOptions = {}): Scheduler {
  return new KvScheduler(options);
}

type Settle = (result: Processed | undefined, error: Error | undefined) => void;

class KvScheduler implements Scheduler {
  readonly #registry = new Registry();
  readonly #graph = new Graph(this.#registry);
  readonly #counters = new Counters();
  readonly #clock: Clock;
  readonly #since: number;
  readonly #turn: Turn;
  readonly #queue: JobQueue;
  readonly #maxQueue: number;
  readonly #caller: Caller;
  readonly #refresh: Refresh;
  readonly #retries: Retries;
  readonly #suspensions: Suspensions;
  readonly #sources: Sources;
  readonly #history: History;
  readonly #deps: ProcessDeps;
  readonly #watchers = new Set<Watcher>();
  /** Notifications that have not reached the queue's head yet; those that come meanwhile join them. */
  #notices: Map<Key, unknown> | undefined;
  #seq: number;
  #refreshed = false;

  constructor(options: SchedulerOptions) {
    const { defaults = {}, log = { warn: () => undefined } } = options;
    const clock = options.clock ?? systemClock;
    const perDescriptor = defaults.concurrency ?? 16;
    this.#clock = clock;
    this.#since = clock.wall();
    this.#turn = new Turn(clock);
    this.#queue = new JobQueue(this.#turn);
    this.#maxQueue = options.queue ?? 10_000;
    this.#caller = new Caller(this.#graph, clock);
    const retry = (tickets: Parameters<typeof works.retryWork>[0]): void =>
      this.#enqueue(works.retryWork(tickets, clock));
    this.#retries = new Retries(clock, options.random ?? Math.random, retry);
    this.#suspensions = new Suspensions(clock, retry);
    this.#sources = new Sources(clock, sourcesOf(options), (names) => this.#enqueue(works.graceWork(names, clock)));
    const settings: ExecuteSettings = {
      clock,
      turn: this.#turn,
      counters: this.#counters,
      suspensions: this.#suspensions,
      deadline: defaults.deadline ?? seconds(2),
      perDescriptor,
      total: options.concurrency ?? 64,
      groupPatience: options.groupPatience ?? millis(200),
    };
    this.#refresh = new Refresh({
      caller: this.#caller,
      clock,
      turn: this.#turn,
      counters: this.#counters,
      suspensions: this.#suspensions,
      deadline: defaults.retrieveDeadline ?? seconds(30),
      perDescriptor,
      log,
    });
    this.#history = new History(options.history, (error) => log.warn("the history's store failed", { error }));
    this.#seq = options.history?.store?.lastSeq ?? 0;
    this.#deps = {
      graph: this.#graph,
      caller: this.#caller,
      refresh: this.#refresh,
      settings,
      log,
      verify: options.verify === true,
      isWatched: () => this.#watchers.size > 0,
      onPlan: guarded(options.onPlan, (error) => log.warn("onPlan failed", { error })),
      onLate: (keys) => this.#enqueue(works.lateWork(keys, this.#refresh, clock)),
    };
  }

  register<V, M>(descriptor: Descriptor<V, M>): void {
    const entry = this.#registry.register(descriptor);
    const waiting: Node[] = [];
    for (const n of this.#graph.nodes.values()) {
      if (n.descriptor === undefined && this.#registry.forKey(n.key) === entry) waiting.push(n);
    }
    if (waiting.length > 0) this.#enqueue(works.unimplementedWork(entry, waiting, this.#clock));
  }

  transact(txn: Txn): Promise<TxnResult> {
    if (this.#queue.isClosed) return Promise.reject(new ClosedError("scheduler"));
    if (this.#queue.size >= this.#maxQueue) {
      this.#counters.refused++;
      return Promise.reject(new OverloadedError("the scheduler's queue", this.#maxQueue));
    }
    const source = this.#sources.get(txn.source ?? "default");
    let work: Work;
    try {
      txn.signal?.throwIfAborted();
      work = works.northboundWork(txn, works.checkTxn(txn), { source, sources: this.#sources, clock: this.#clock });
    } catch (e) {
      return Promise.reject(e);
    }
    return new Promise((resolve, reject) => {
      const { signal } = txn;
      const onAbort = signal && ((): void => reject(signal.reason as Error));
      if (onAbort) signal.addEventListener("abort", onAbort, { once: true });
      this.#notices = undefined; // later notifications come after this transaction
      this.#enqueue(work, (result, error) => {
        if (onAbort) signal.removeEventListener("abort", onAbort);
        if (result === undefined) {
          reject(error!);
          return;
        }
        if (txn.dryRun !== true && txn.resync !== undefined) {
          this.#sources.resynced(txn.resync === "downstream" ? undefined : source);
        }
        resolve({ seq: result.seq, errors: result.errors, pending: result.pending, record: result.record });
      });
    });
  }

  async validate(changes: Iterable<readonly [Key, unknown]>): Promise<readonly Invalid[]> {
    this.#turn.enter();
    const found = await inTurns(this.#turn, invalidOnes(this.#registry, changes));
    this.#turn.leave();
    return found;
  }

  notify(changes: Iterable<readonly [Key, unknown]>): void {
    if (this.#queue.isClosed) return;
    const notices = this.#notices ?? new Map<Key, unknown>();
    for (const [key, value] of changes) {
      // The last word counts, in the order of last words.
      if (notices.delete(key)) this.#counters.merged++;
      notices.set(key, value);
    }
    if (this.#notices !== undefined || notices.size === 0) return;
    this.#notices = notices;
    const work = works.notificationWork(notices, this.#clock);
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
    return statusesOf(this.#graph, filter);
  }

  watchStatus(filter: StatusFilter = {}, options: { readonly bound?: number } = {}): StatusWatch {
    const bound = Math.max(1, options.bound ?? 1000);
    const watcher = new Watcher(filter, bound, (w) => this.#watchers.delete(w), this.#counters);
    if (this.#queue.isClosed) watcher.close();
    else this.#watchers.add(watcher);
    return watcher;
  }

  dump(view: "northbound" | "cached", prefix?: Key): KeyValue[] {
    return dumpOf(this.#graph, view, prefix);
  }

  dumpSouthbound(filter: SouthboundFilter = {}, signal?: AbortSignal): Promise<SouthboundDump> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const onAbort = (): void => reject(signal!.reason as Error);
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#queue.push({
        run: async () => {
          if (signal?.aborted === true) return () => undefined;
          try {
            const reading = { txn: this.#seq, first: !this.#refreshed, filter };
            const dump = await dumpSouthbound(this.#graph, this.#refresh, this.#turn, reading);
            return () => resolve(dump);
          } catch (e) {
            return () => reject(e);
          } finally {
            signal?.removeEventListener("abort", onAbort);
          }
        },
        refuse: reject,
      });
    });
  }

  metadata<M>(key: Key): M | undefined {
    return this.#graph.metadata(key) as M | undefined;
  }

  history(): readonly RecordedTxn[] {
    return this.#history.list();
  }

  timeline(key: Key): readonly TimelineEntry[] {
    return timelineOf(this.#history.list(), key);
  }

  graphView(filter: GraphFilter = {}): GraphView {
    return viewOf(this.#graph, filter);
  }

  stats(): SchedulerStats {
    const counters = this.#counters;
    return {
      since: this.#since,
      lastSeq: this.#seq,
      transactions: counters.txns(),
      phases: counters.phases(),
      queue: {
        length: this.#queue.size,
        capacity: this.#maxQueue,
        refused: counters.refused,
        merged: counters.merged,
      },
      calls: counters.calls(),
      values: countStates(this.#graph),
      retries: { waiting: this.#retries.waiting, run: counters.runOf("retry") },
      suspended: this.#suspensions.names,
      awaited: this.#sources.awaited,
      watchers: { open: this.#watchers.size, missed: counters.missed },
      graph: { nodes: this.#graph.nodes.size },
      history: this.#history.size,
      longestSliceMs: this.#turn.longest,
    };
  }

  async close(): Promise<void> {
    await this.#queue.close(() => {
      this.#retries.close();
      this.#suspensions.close();
      this.#sources.close();
      this.#caller.abort();
    });
    this.#caller.close();
    for (const w of this.#watchers) w.close();
  }

  *#publish({ changed }: Processed): Steps<void> {
    if (this.#watchers.size === 0) return;
    for (const { node, state, previous } of changed) {
      if (due()) yield;
      const status = { ...statusOf(this.#graph, node), state };
      for (const w of this.#watchers) w.offer({ status, previous });
    }
  }

  #enqueue(work: Work, settle?: Settle): void {
    const queuedAt = this.#clock.now();
    this.#queue.push({
      run: () => this.#run(work, settle, queuedAt),
      refuse: (error) => settle?.(undefined, error),
    });
  }

  async #run(work: Work, settle: Settle | undefined, queuedAt: number): Promise<() => void> {
    const seq = ++this.#seq;
    const startedAt = this.#clock.now();
    const count = (outcome: Processed["outcome"]): void =>
      this.#counters.txn(work.kind, outcome, startedAt - queuedAt, this.#clock.now() - startedAt);
    try {
      const process = work.dryRun === true ? processDry : processWork;
      const result = await process(this.#deps, seq, work, !this.#refreshed);
      if (work.dryRun !== true) {
        if (work.resync === "full" || work.resync === "downstream") this.#refreshed = true;
        if (!this.#queue.isClosed) this.#retries.schedule(result.retries);
      }
      this.#history.add(result.record);
      if (result.changed.length > 0) await inTurns(this.#turn, this.#publish(result));
      count(result.outcome);
      return () => settle?.(result, undefined);
    } catch (e) {
      this.#deps.log.warn("transaction broke off", { seq, error: e });
      count("broken-off");
      return () => settle?.(undefined, e as Error);
    }
  }
}

function guarded<T>(
  callback: ((arg: T) => void) | undefined,
  onError: (error: unknown) => void,
): ((arg: T) => void) | undefined {
  if (callback === undefined) return undefined;
  return (arg) => {
    try {
      callback(arg);
    } catch (e) {
      onError(e);
    }
  };
}
