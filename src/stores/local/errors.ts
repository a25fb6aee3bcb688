import { HeddleError } from "../../base/errors/errors.ts";

export type LocalDbErrorCode =
  /** The file is damaged or isn't one of ours. Restore it or move it away by hand: what it held is not to be forgotten. */
  | "CORRUPT"
  /** Written by a newer Heddle. Run that version again, or move the file away. */
  | "NEWER_VERSION"
  /** Another process has it open. */
  | "IN_USE"
  /** The caller's mistake: a key or value that can't be stored. */
  | "INVALID"
  /** Anything else: disk full, permissions, the database's thread died. Nothing of the failed commit was kept. */
  | "IO";

/** What the local database could not do; the message names the file. */
export class LocalDbError extends HeddleError<LocalDbErrorCode> {}

/** The file's content is unusable, now and after a retry: set it aside or restore it. */
export const isUnreadable = (e: unknown): boolean =>
  e instanceof LocalDbError && (e.code === "CORRUPT" || e.code === "NEWER_VERSION");
