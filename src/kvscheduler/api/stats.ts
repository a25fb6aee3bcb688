import type { RecordedTxn } from "./record.ts";
import type { ValueState } from "./status.ts";

/** Upper bounds of the buckets of every {@link Distribution}, in milliseconds: 100 µs to 10 s. */
export const LATENCY_BOUNDS_MS = [
  0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000,
] as const;

/** How long something took, as a histogram. Milliseconds. */
export interface Distribution {
  readonly count: number;
  readonly sumMs: number;
  readonly minMs: number;
  readonly maxMs: number;
  /** One number for each of {@link LATENCY_BOUNDS_MS} (what was above the bound before and not above this one), and a
   * last one for what was above them all. */
  readonly buckets: readonly number[];
}

export type TxnKind = RecordedTxn["kind"];

/**
 * How a transaction ended. `ok`: nothing failed; `failed`: at least one key did, the others are in place; `reverted`: an
 * atomic one that was undone; `dry-run`: only planned; `broken-off`: the scheduler itself failed, or was closed.
 */
export type TxnOutcome = "ok" | "failed" | "reverted" | "dry-run" | "broken-off";

/** Callbacks of descriptors that reach the southbound. `commit` is counted for a group, under the group's name. */
export type CallOp = "create" | "update" | "delete" | "retrieve" | "retrieve-one" | "commit";

/** `late`: it outlived its deadline. */
export type CallOutcome = "ok" | "failed" | "late";

/** Calls of one kind of one descriptor (or commit group). */
export interface CallStats {
  readonly descriptor: string;
  readonly op: CallOp;
  readonly outcomes: Readonly<Record<CallOutcome, number>>;
  readonly duration: Distribution;
}

/** Transactions of one kind. */
export interface TxnStats {
  readonly kind: TxnKind;
  readonly outcomes: Readonly<Partial<Record<TxnOutcome, number>>>;
  /** From being queued until it is taken. */
  readonly wait: Distribution;
  /** From being taken until its result is known. */
  readonly duration: Distribution;
}

/** A part of a transaction's own time: reading the southbound, planning, carrying out, recording. */
export interface PhaseStats {
  readonly phase: "refresh" | "plan" | "execute" | "record";
  readonly duration: Distribution;
}

/** Values of one descriptor by state; `descriptor` is absent for values that none owns. */
export interface ValueCounts {
  readonly descriptor?: string;
  readonly states: Readonly<Partial<Record<ValueState, number>>>;
}

/** What the scheduler has done since it was made, and what it holds now. Plain data; counters only grow. */
export interface SchedulerStats {
  /** Wall-clock milliseconds at which the scheduler was made. */
  readonly since: number;
  /** Number of the last transaction. */
  readonly lastSeq: number;
  /** One entry for each kind that has occurred, sorted by kind. */
  readonly transactions: readonly TxnStats[];
  /** In the order of the phases; those that have occurred. */
  readonly phases: readonly PhaseStats[];
  readonly queue: {
    readonly length: number;
    readonly capacity: number;
    /** Transactions that were refused because it was full. */
    readonly refused: number;
    /** Notified keys that were merged with an earlier notification of the same key, still waiting. */
    readonly merged: number;
  };
  /** Sorted by descriptor, then by operation. */
  readonly calls: readonly CallStats[];
  /** One for each registered descriptor, sorted by name, also if it has no values; then those without a descriptor. */
  readonly values: readonly ValueCounts[];
  readonly retries: {
    /** Keys that wait for their retry. */
    readonly waiting: number;
    /** Retry transactions so far. */
    readonly run: number;
  };
  /** Descriptors, or commit groups, that hang and are left alone for a while, sorted. */
  readonly suspended: readonly string[];
  /** Expected sources that have not given their first state, and whose grace has not passed, sorted. */
  readonly awaited: readonly string[];
  readonly watchers: {
    readonly open: number;
    /** Events that slow watchers have missed, those of watchers that are gone included. */
    readonly missed: number;
  };
  readonly graph: { readonly nodes: number };
  readonly history: {
    readonly transactions: number;
    readonly bytes: number;
    /** Transactions that have been dropped to keep its bounds. */
    readonly dropped: number;
  };
  /** The longest that our own code has run between two turns of the event loop, since the scheduler was made. */
  readonly longestSliceMs: number;
}
