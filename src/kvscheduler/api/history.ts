import type { RecordedOp, RecordedTxn } from "./record.ts";

/** A finished transaction as a {@link HistoryStore} gets it: the text of its operations is made when it is asked for. */
export interface StorableTxn extends RecordedTxn {
  /** Operations in the longer one of the two lists. */
  readonly length: number;
  /** Estimate of the memory that it keeps alive. */
  readonly bytes: number;
  /** A part of a list, so that a long record can be written without holding up the event loop. */
  slice(list: "planned" | "executed", from: number, to: number): readonly RecordedOp[];
}

/**
 * Keeps transactions beyond the bounds of memory and the life of the process: `heddle/kvscheduler/history-file` is one.
 * Handed to the scheduler in its option `history.store`. The scheduler does not close it; close it after the scheduler.
 */
export interface HistoryStore {
  /** Number of the last transaction it knows of, 0 if none; the scheduler counts on from there. Read once, at start. */
  readonly lastSeq: number;
  /**
   * Takes a finished transaction. Called once for each, dry runs too, in the order of their numbers, from within the
   * scheduler: it must return at once, and not throw (what it throws is logged, and the record is not offered again).
   */
  add(txn: StorableTxn): void;
}

/** Which transactions are meant: all conditions that are given must hold. */
export interface HistoryQuery {
  /** Lowest and highest number, inclusive. */
  readonly from?: number;
  readonly to?: number;
  /** Earliest and latest end, wall-clock milliseconds, inclusive. */
  readonly since?: number;
  readonly until?: number;
  /** Only the last ones; 1000 if absent. */
  readonly limit?: number;
}

/** Consecutive transactions that are in no record: they were dropped because the store could not keep up or failed. */
export interface HistoryGap {
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** Transactions that a {@link HistoryQuery} asked for. */
export interface HistoryPage {
  /** In the order of their numbers. */
  readonly txns: readonly RecordedTxn[];
  /** What is known to be missing of what was asked for, in order. */
  readonly gaps: readonly HistoryGap[];
  /** There are older ones that match, left out because of the limit. */
  readonly more: boolean;
}
