import type { Key } from "../api/descriptor.ts";
import type { RecordedOp, RecordedTxn } from "../api/record.ts";
import type { ValueState, ValueStatus } from "../api/status.ts";
import { BadQueryError } from "./query.ts";
import type { Steps } from "./slices.ts";

export interface TxnSelection {
  /** Wall-clock milliseconds; transactions that ended at or after it. */
  readonly since?: number;
  /** Transactions that ended at or before it. */
  readonly until?: number;
  readonly seq?: number;
  readonly kind?: RecordedTxn["kind"];
  /** Only those in which something failed. */
  readonly failed?: boolean;
  /** At most so many: the newest ones. */
  readonly limit?: number;
}

/** The transactions that are asked for, oldest first. */
export function* selectTxns(
  history: readonly RecordedTxn[],
  { since, until, seq, kind, failed, limit = Number.POSITIVE_INFINITY }: TxnSelection,
): Steps<RecordedTxn[]> {
  const found: RecordedTxn[] = [];
  for (let i = history.length - 1; i >= 0 && found.length < limit; i--) {
    const txn = history[i]!;
    if (seq !== undefined && txn.seq !== seq) continue;
    if (since !== undefined && txn.endedAt < since) continue;
    if (until !== undefined && txn.endedAt > until) continue;
    if (kind !== undefined && txn.kind !== kind) continue;
    if (failed === true) {
      yield; // the text of its operations is made now
      if (!hasFailed(txn)) continue;
    }
    found.push(txn);
  }
  return found.reverse();
}

export function hasFailed(txn: RecordedTxn): boolean {
  return txn.executed.some((op) => op.error !== undefined);
}

/** A value as it was at some moment. */
export interface PastValue {
  readonly key: Key;
  readonly state: ValueState;
  readonly descriptor?: string;
  readonly value?: string;
  /** The transaction that had made it so, where the history still has it. */
  readonly txn?: number;
}

/** What the history is complete from: nothing is known of what was before. */
export interface Known {
  /** Wall-clock milliseconds. */
  readonly since: number;
  readonly because: "the scheduler was started then" | "older transactions have been dropped from the history";
}

/** From when on `history` tells everything. `since`: when the scheduler was made. `dropped`: records that are gone. */
export function knownSince(history: readonly RecordedTxn[], since: number, dropped: number): Known {
  if (dropped === 0) return { since, because: "the scheduler was started then" };
  const first = history[0];
  return {
    since: first === undefined ? Number.POSITIVE_INFINITY : first.endedAt,
    because: "older transactions have been dropped from the history",
  };
}

/**
 * What was at a moment, worked out backwards: a key that has not been touched since is as it is now; one that has was as
 * the first transaction after the moment found it. A transaction counts from its end.
 * What is in place is told exactly; a change of state without an operation (INVALID, UNIMPLEMENTED) is not seen.
 * @throws BadQueryError if the history does not reach back so far
 */
export function* valuesAt(
  now: Iterable<ValueStatus>,
  history: readonly RecordedTxn[],
  time: number,
  known: Known,
): Steps<PastValue[]> {
  if (time < known.since) throw new BadQueryError(`nothing is known of before ${isoOf(known.since)}: ${known.because}`);
  const real = history.filter((txn) => txn.dryRun !== true);
  const values = new Map<Key, PastValue>();
  const later = new Set(real.filter((txn) => txn.endedAt > time).map((txn) => txn.seq));
  for (const { key, state: latest, descriptor, txn } of now) {
    // Changed since: an operation tells what it had been, or there was none before.
    const state = txn !== undefined && later.has(txn) ? "NONEXISTENT" : latest;
    values.set(key, { key, state, ...(descriptor !== undefined && { descriptor }), ...(txn !== undefined && { txn }) });
  }
  for (const txn of real.toReversed()) {
    if (txn.endedAt <= time) break;
    if (txn.omitted !== undefined) {
      throw new BadQueryError(`transaction ${txn.seq}, which was later, is not recorded in full`);
    }
    for (const op of txn.executed.toReversed()) values.set(op.key, before(op));
    yield;
  }
  const settled = new Set<Key>();
  for (const txn of real.toReversed()) {
    if (txn.endedAt > time) continue;
    for (const op of txn.executed.toReversed()) {
      const value = values.get(op.key);
      if (value === undefined || settled.has(op.key)) continue;
      settled.add(op.key);
      const text = op.op === "delete" ? undefined : op.value;
      const state = value.state === "NONEXISTENT" ? op.stateAfter : value.state;
      values.set(op.key, { ...value, state, txn: txn.seq, ...(text !== undefined && { value: text }) });
    }
    yield;
  }
  return [...values.values()]
    .filter((v) => v.state !== "NONEXISTENT" && v.state !== "REMOVED")
    .sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** As the operation found it. */
function before(op: RecordedOp): PastValue {
  const value = op.op === "delete" ? op.value : op.oldValue;
  return {
    key: op.key,
    state: op.stateBefore,
    ...(op.descriptor !== undefined && { descriptor: op.descriptor }),
    ...(value !== undefined && { value }),
  };
}

const isoOf = (wall: number): string => (Number.isFinite(wall) ? new Date(wall).toISOString() : "now");
