import type { LocalDbErrorCode } from "./errors.ts";

/** What a database's values are; fixed when its file is created. */
export type DbValueKind = "text" | "bytes";
export type DbValue = string | Uint8Array;

/** A key and its new value; `undefined` deletes it. */
export type DbWrite<V extends DbValue = DbValue> = readonly [key: string, value: V | undefined];

/**
 * When a commit is answered: `full` once it is on disk (survives power loss); `normal` once the kernel has it (survives
 * kill -9; a power loss may take the last commits, never half of one).
 */
export type DbSynchronous = "full" | "normal";

export interface DbOpenOptions {
  readonly path: string;
  readonly values: DbValueKind;
  readonly synchronous: DbSynchronous;
}

/** Main thread to worker. `db` numbers a database within its thread, `id` a request. Answered in order. */
export type DbRequest =
  | ({ readonly op: "open"; readonly id: number; readonly db: number } & DbOpenOptions)
  | { readonly op: "load"; readonly id: number; readonly db: number; readonly prefix: string }
  | { readonly op: "commit"; readonly id: number; readonly db: number; readonly writes: readonly DbWrite[] }
  | { readonly op: "close"; readonly id: number; readonly db: number };

export type DbResponse =
  /** Part of a load: a bounded slice, so that receiving it never holds the main loop for long. */
  | { readonly kind: "rows"; readonly id: number; readonly rows: readonly (readonly [string, DbValue])[] }
  | { readonly kind: "done"; readonly id: number }
  | { readonly kind: "failed"; readonly id: number; readonly code: LocalDbErrorCode; readonly message: string };
