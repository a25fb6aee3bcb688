import type { Clock, Duration } from "../base/clock/clock.ts";
import type { RecordedTxn } from "./api/record.ts";
import type { HistoryOptions } from "./txn/history.ts";
import type { SourceOptions } from "./txn/sources.ts";
import type { StagingLog } from "./txn/staging.ts";

export interface SchedulerOptions {
  /** The system's clock if absent. */
  readonly clock?: Clock;
  /** Told of what is skipped, ignored, or cannot be read. Silent if absent. */
  readonly log?: StagingLog;
  readonly defaults?: {
    /** One operation; 2 s if absent. */
    readonly deadline?: Duration;
    /** Reading a key space; 30 s if absent. */
    readonly retrieveDeadline?: Duration;
    /** Operations of one descriptor at once; 16 if absent. */
    readonly concurrency?: number;
  };
  /** Operations of all descriptors at once; 64 if absent. */
  readonly concurrency?: number;
  /** How long a commit group waits for operations outside of it before it commits what is ready; 200 ms if absent. */
  readonly groupPatience?: Duration;
  /** Transactions that may wait; more are refused with OverloadedError. 10,000 if absent. */
  readonly queue?: number;
  readonly history?: HistoryOptions;
  /** Sources that are expected, or whose precedence is not 0. Others need not be named. */
  readonly sources?: Readonly<Record<string, SourceOptions>>;
  /** Short for {@link sources} with nothing but precedences. */
  readonly precedence?: Readonly<Record<string, number>>;
  /**
   * Verification: after each transaction, what descriptors say they have done is read again, and keys for which the
   * southbound shows something else fail with a VerificationError. For tests of descriptors, and where trust costs more
   * than reading. Default false.
   */
  readonly verify?: boolean;
  /**
   * Told of each transaction when it is planned, before the first operation: `planned` is complete then, `executed` empty.
   * For those who want to know afterwards what a process was about to do when it died. What it throws is logged.
   */
  readonly onPlan?: (txn: RecordedTxn) => void;
  /** Numbers in [0, 1), for the jitter of retries. */
  readonly random?: () => number;
}

/** The sources, those included that are only named in {@link SchedulerOptions.precedence}. */
export function sourcesOf({
  sources = {},
  precedence = {},
}: SchedulerOptions): Readonly<Record<string, SourceOptions>> {
  const short = Object.entries(precedence).map(([name, p]) => [name, { precedence: p }] as const);
  return { ...Object.fromEntries(short), ...sources };
}
