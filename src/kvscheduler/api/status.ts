import type { Key } from "./descriptor.ts";

/**
 * The eleven states of a value.
 * - `NONEXISTENT`: unknown key.
 * - `MISSING`: configured, but the last refresh did not find it in the southbound.
 * - `UNIMPLEMENTED`: configured, but no descriptor owns the key.
 * - `REMOVED`: a derived or southbound value that has just gone; reported once.
 * - `CONFIGURED`: in place as asked.
 * - `OBTAINED`: exists by itself in the southbound (found, or told by a notification).
 * - `DISCOVERED`: found by a refresh, ours, not yet confirmed by the northbound.
 * - `PENDING`: waits for dependencies.
 * - `INVALID`: rejected by `validate`.
 * - `FAILED`: the last operation failed and is not repeated.
 * - `RETRYING`: the last operation failed and will be repeated.
 */
export type ValueState =
  | "NONEXISTENT"
  | "MISSING"
  | "UNIMPLEMENTED"
  | "REMOVED"
  | "CONFIGURED"
  | "OBTAINED"
  | "DISCOVERED"
  | "PENDING"
  | "INVALID"
  | "FAILED"
  | "RETRYING";

/** Why a value is pending: one entry for each dependency that is not met. */
export interface UnmetDependency {
  readonly label: string;
  /** The key, or the prefixes of which one must appear. */
  readonly wants: readonly Key[];
  /** Wall-clock milliseconds since when it is not met. */
  readonly since: number;
}

export interface ValueStatus {
  readonly key: Key;
  readonly state: ValueState;
  readonly descriptor?: string;
  /** For FAILED, RETRYING and INVALID. */
  readonly error?: Error;
  /** For PENDING. */
  readonly unmet?: readonly UnmetDependency[];
  readonly lastOp?: "create" | "update" | "delete" | "validate";
  /** Number of the transaction that last changed it. */
  readonly txn?: number;
  readonly derived: readonly ValueStatus[];
}
