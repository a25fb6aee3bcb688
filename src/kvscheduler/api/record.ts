import type { Key } from "./descriptor.ts";
import type { ValueState } from "./status.ts";

/** One planned or executed operation. */
export interface RecordedOp {
  readonly op: "create" | "update" | "delete";
  readonly key: Key;
  readonly descriptor?: string;
  readonly derived?: boolean;
  readonly stateBefore: ValueState;
  readonly stateAfter: ValueState;
  /** Part of delete and create that stand for one change. */
  readonly recreate?: boolean;
  /** Undoes an earlier operation of an atomic transaction that failed. */
  readonly revert?: boolean;
  /** Not sent: the removal of what it depends on removes it too. */
  readonly carried?: boolean;
  /** Not sent: only a state changed (it became pending, or was; the southbound told of it), or what it needs failed. */
  readonly noop?: boolean;
  readonly value?: string;
  readonly oldValue?: string;
  readonly error?: string;
  /** Milliseconds the operation took. */
  readonly ms?: number;
}

export interface RecordedTxn {
  readonly seq: number;
  /** `late`: an operation that had outlived its deadline has ended, and its key was read again. `grace`: a source that
   * was expected has not come in time, and what was found and kept for it is judged. */
  readonly kind: "northbound" | "notification" | "retry" | "unimplemented" | "late" | "grace";
  readonly source: string;
  readonly description?: string;
  readonly resync?: "full" | "upstream" | "downstream";
  readonly mode: "best-effort" | "atomic";
  readonly dryRun?: boolean;
  /** Wall-clock milliseconds. */
  readonly queuedAt: number;
  readonly startedAt: number;
  readonly endedAt: number;
  /** Descriptors that could not be read in a resync; what is known of their keys was kept. */
  readonly unread?: readonly string[];
  /** Descriptors that were left alone because they did not answer in time; their keys are tried again later. */
  readonly suspended?: readonly string[];
  /** Nodes that were looked at: what the transaction cost, whatever the size of the graph. */
  readonly nodesVisited?: number;
  /** Operations left out of both lists because the record would exceed the history's bound in bytes. */
  readonly omitted?: number;
  readonly planned: readonly RecordedOp[];
  readonly executed: readonly RecordedOp[];
}
