import { HeddleError } from "../base/errors/errors.ts";

export type LabErrorCode =
  /** The request cannot be right: a bad name, a directory that is in use. Exit code 2. */
  | "USAGE"
  /** A store or dataplane that was asked for cannot run here; install what the message names. Exit code 2. */
  | "CANNOT_RUN"
  /** Something was not in force by its deadline; the message carries the last log lines. Exit code 1. */
  | "NOT_READY"
  /** Another process works on the same lab; the message names it. Exit code 1. */
  | "BUSY"
  /** No lab, node or pod of that name. Exit code 1. */
  | "NOT_FOUND"
  /** A command or the CNI plugin failed; the message has its words. Exit code 1. */
  | "FAILED";

/** What the lab's operations reject with. */
export class LabError extends HeddleError<LabErrorCode> {}

/** Whether the request itself was wrong, or asked for what this machine cannot do: the CLI's exit code 2. */
export const isUsage = (e: unknown): boolean =>
  e instanceof LabError && (e.code === "USAGE" || e.code === "CANNOT_RUN");
