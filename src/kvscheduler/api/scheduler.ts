import type { Duration } from "../../base/clock/clock.ts";
import type { Descriptor, Key, KeyValue } from "./descriptor.ts";
import type { GraphFilter, GraphView, TimelineEntry } from "./graph-view.ts";
import type { RecordedTxn } from "./record.ts";
import type { SouthboundDump, SouthboundFilter } from "./southbound.ts";
import type { SchedulerStats } from "./stats.ts";
import type { ValueState, ValueStatus } from "./status.ts";

/** `full`: the changes are all there is, and the southbound is read again. `upstream`: the changes are all there is, the
 * southbound is believed. `downstream`: no changes; the southbound is read again and repaired. */
export type ResyncKind = "full" | "upstream" | "downstream";

export interface RetryOptions {
  readonly first: Duration;
  readonly max: Duration;
  /** Attempts after the first failure; 0 means without end. */
  readonly attempts: number;
}

/** One northbound transaction. */
export interface Txn {
  /** Who owns the values. Several sources may hold the same key; the one with the highest precedence is applied, and
   * deleting it uncovers the next. `"default"` if absent. */
  readonly source?: string;
  /** `undefined` as value deletes. Values are the scheduler's from now on: plain objects and arrays are frozen. With `resync` full or upstream: all values of this source. */
  readonly changes?: Iterable<readonly [Key, unknown]>;
  readonly resync?: ResyncKind;
  /** `best-effort` (default) keeps what succeeds; `atomic` undoes everything at the first failure. */
  readonly mode?: "best-effort" | "atomic";
  /** Absent: failures are not repeated. */
  readonly retry?: RetryOptions;
  /** Only plan: what would be done, assuming that nothing fails. Nothing changes. */
  readonly dryRun?: boolean;
  /** For people reading the history. */
  readonly description?: string;
  /** Stops waiting for the result; the transaction itself is not undone. */
  readonly signal?: AbortSignal;
}

export interface TxnResult {
  readonly seq: number;
  /** Keys of this transaction (derived ones under their own key) that failed or are invalid. Empty: all went well. */
  readonly errors: ReadonlyMap<Key, Error>;
  /** Keys of this transaction that wait for a dependency. */
  readonly pending: readonly Key[];
  readonly record: RecordedTxn;
}

/** A value that a descriptor rejects. */
export interface Invalid {
  readonly key: Key;
  /** The value of the request that it is derived from, if it is derived. */
  readonly base?: Key;
  readonly error: Error;
  /** Paths inside the value, as far as the descriptor names them. */
  readonly fields: readonly string[];
}

/** A change of a value's state. */
export interface StatusEvent {
  readonly status: ValueStatus;
  readonly previous: ValueState;
}

/** Which values are meant: all conditions that are given must hold. */
export interface StatusFilter {
  readonly prefix?: Key;
  readonly descriptor?: string;
  readonly states?: readonly ValueState[];
}

/** An event; or, when the buffer was full, what was missed: how many events, and of which keys (the first 1000). Read
 * those keys' states anew. */
export type StatusNews =
  | { readonly event: StatusEvent; readonly missed?: undefined }
  | { readonly missed: { readonly count: number; readonly keys: readonly Key[] }; readonly event?: undefined };

/** Ends when it is closed, by its consumer (also by leaving a `for await`) or by the scheduler's closing. */
export interface StatusWatch extends AsyncIterableIterator<StatusNews, undefined> {
  close(): void;
}

export interface Scheduler {
  /** @throws DescriptorError on an overlap or a defect. Values that waited for it (UNIMPLEMENTED) are applied. */
  register<V, M>(descriptor: Descriptor<V, M>): void;
  /** Queued; transactions run one after another. Rejects only on misuse, closing, or the caller's signal; failures of
   * single keys are in the result. */
  transact(txn: Txn): Promise<TxnResult>;
  /**
   * What descriptors have against values, derived ones too, without a transaction: `validate`, and `dependencies` and
   * `derived` that cannot be computed. Values without a descriptor are not judged. Empty: nothing is wrong.
   */
  validate(changes: Iterable<readonly [Key, unknown]>): Promise<readonly Invalid[]>;
  /** Tells what has appeared (value), changed or gone (undefined) in the southbound by itself. Never blocks. */
  notify(changes: Iterable<readonly [Key, unknown]>): void;
  status(key: Key): ValueStatus;
  statuses(filter?: StatusFilter): ValueStatus[];
  /** Changes of states from now on, in order. `bound`: events kept for a consumer that is slow; 1000 if absent. */
  watchStatus(filter?: StatusFilter, options?: { readonly bound?: number }): StatusWatch;
  /** The values in a view: as configured, as last known in the southbound. */
  dump(view: "northbound" | "cached", prefix?: Key): KeyValue[];
  metadata<M>(key: Key): M | undefined;
  history(): readonly RecordedTxn[];
  /** Every operation on `key` that the history still holds, planned dry runs excluded, oldest first. */
  timeline(key: Key): readonly TimelineEntry[];
  /** What is known of (a part of) the graph: nodes, and who needs whom. Changes nothing, waits for nothing. */
  graphView(filter?: GraphFilter): GraphView;
  /** Reads the southbound, between transactions, and changes nothing. Rejects when closing or by the signal. */
  dumpSouthbound(filter?: SouthboundFilter, signal?: AbortSignal): Promise<SouthboundDump>;
  stats(): SchedulerStats;
  /** Closes: nothing new is accepted, what waits is refused with ClosedError, what runs is aborted and waited for. */
  close(): Promise<void>;
}
