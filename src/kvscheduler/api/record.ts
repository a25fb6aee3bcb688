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
  /** Not sent: the value only became pending, or was pending. */
  readonly noop?: boolean;
  readonly value?: string;
  readonly oldValue?: string;
  readonly error?: string;
  /** Milliseconds the operation took. */
  readonly ms?: number;
}

export interface RecordedTxn {
  readonly seq: number;
  readonly kind: "northbound" | "notification" | "retry" | "unimplemented";
  readonly source: string;
  readonly description?: string;
  readonly resync?: "full" | "upstream" | "downstream";
  readonly mode: "best-effort" | "atomic";
  readonly dryRun?: boolean;
  /** Wall-clock milliseconds. */
  readonly queuedAt: number;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly planned: readonly RecordedOp[];
  readonly executed: readonly RecordedOp[];
}
