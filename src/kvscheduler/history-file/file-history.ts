import { type Clock, type Duration, millis, minutes, systemClock } from "../../base/clock/clock.ts";
import { HeddleError } from "../../base/errors/errors.ts";
import type { HistoryPage, HistoryQuery, HistoryStore, StorableTxn } from "../api/history.ts";
import type { RecordedTxn } from "../api/record.ts";
import { readPage } from "./read.ts";
import { openSegments } from "./segments.ts";
import { Writer } from "./writer.ts";

const MIB = 1024 * 1024;
/** Less would not hold one transaction of a few dozen operations in a segment. */
const LEAST_BYTES = 64 * 1024;

/** Bounds and dependencies of a {@link FileHistory}. */
export interface FileHistoryOptions {
  /** Directory of its own; made if there is none. One process at a time may use it. */
  readonly dir: string;
  /** Transactions kept; 100,000 if absent. */
  readonly count?: number;
  /** Bytes on the disk; 16 MiB if absent, 64 KiB at least. One transaction takes a sixteenth of it at most. */
  readonly bytes?: number;
  /** Age; 7 days if absent. */
  readonly age?: Duration;
  /** What may wait for a slow disk, in memory: 10,000 transactions of together 8 MiB if absent. */
  readonly buffer?: { readonly count?: number; readonly bytes?: number };
  /**
   * Least time between two writes; 20 ms if absent. The first transaction after a pause is written at once, those that
   * follow closely share a write, which costs as much as thirty of them; kill -9 may cost those of the last `linger`.
   */
  readonly linger?: Duration;
  /**
   * Told when transactions begin to be lost, once for each run of losses: the disk is full (the error of the file
   * system), or too slow (OverloadedError). How many are lost is in {@link FileHistory.dropped} and, as soon as there is
   * room again, in the file.
   */
  readonly onLost?: (cause: Error) => void;
  /** The system's clock if absent. */
  readonly clock?: Clock;
}

/** A directory or bounds that cannot be used; the message says why. */
export class HistoryFileError extends HeddleError<"HISTORY_FILE"> {
  constructor(message: string, options?: ErrorOptions) {
    super("HISTORY_FILE", message, options);
  }
}

/**
 * The history of transactions in files, which survive the process. It never holds up the scheduler: transactions wait
 * in a bounded buffer and are written as soon as the event loop has a turn. After kill -9 what had not been handed to
 * the operating system is missing (the last 20 ms, as a rule); after a power failure it may be seconds, since
 * nothing is forced to the platter.
 *
 * ```ts
 * await using store = await FileHistory.open({ dir: "/var/lib/mine/history" });
 * const scheduler = createScheduler({ history: { store } });
 * const { txns } = await store.read({ since: Date.now() - 3_600_000 }, scheduler.history());
 * ```
 */
export class FileHistory implements HistoryStore {
  readonly #writer: Writer;
  readonly #bounds: { readonly count: number; readonly age: number; readonly clock: Clock };

  private constructor(writer: Writer, bounds: { readonly count: number; readonly age: number; readonly clock: Clock }) {
    this.#writer = writer;
    this.#bounds = bounds;
  }

  /** Takes up what is there; what a crash has left torn at the end is cut off. @throws HistoryFileError */
  static async open(options: FileHistoryOptions): Promise<FileHistory> {
    const clock = options.clock ?? systemClock;
    const bounds = {
      count: options.count ?? 100_000,
      bytes: options.bytes ?? 16 * MIB,
      age: options.age ?? minutes(7 * 24 * 60),
      clock,
    };
    const buffer = { count: options.buffer?.count ?? 10_000, bytes: options.buffer?.bytes ?? 8 * MIB };
    if (!(bounds.bytes >= LEAST_BYTES)) throw new HistoryFileError(`bytes must be ${LEAST_BYTES} at least`);
    if (!(bounds.count >= 1 && bounds.age > 0 && buffer.count >= 1 && buffer.bytes > 0)) {
      throw new HistoryFileError("every bound must be greater than 0");
    }
    try {
      const { segments, lastSeq } = await openSegments(options.dir);
      const onLost = options.onLost ?? (() => undefined);
      const linger = options.linger ?? millis(20);
      const writer = new Writer(segments, lastSeq, { ...bounds, dir: options.dir, buffer, linger, onLost });
      await writer.trim();
      return new FileHistory(writer, bounds);
    } catch (e) {
      throw new HistoryFileError(`cannot use ${options.dir} for the history`, { cause: e });
    }
  }

  get lastSeq(): number {
    return this.#writer.lastSeq;
  }

  /** Transactions that were lost since it was opened: the disk failed, or was too slow. */
  get dropped(): number {
    return this.#writer.dropped;
  }

  /** What is wrong with the disk now; `undefined` when well. */
  get problem(): string | undefined {
    return this.#writer.problem;
  }

  /** Bytes on the disk. */
  get bytes(): number {
    return this.#writer.segments.reduce((sum, s) => sum + s.bytes, 0);
  }

  add(txn: StorableTxn): void {
    this.#writer.add(txn);
  }

  /**
   * Transactions from the disk, merged by their numbers with those that are still on their way there and with `memory`,
   * the scheduler's own history; where both have one, memory's is taken, which is complete.
   */
  read(query: HistoryQuery = {}, memory: readonly RecordedTxn[] = []): Promise<HistoryPage> {
    return readPage(this.#writer, query, memory, this.#bounds);
  }

  /** Writes what waits. To be called after the scheduler's own `close`; transactions that come later are lost. */
  close(): Promise<void> {
    return this.#writer.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
