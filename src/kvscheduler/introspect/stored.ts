import type { Key } from "../api/descriptor.ts";
import type { TimelineEntry } from "../api/graph-view.ts";
import type { HistoryPage, HistoryQuery } from "../api/history.ts";
import type { RecordedTxn } from "../api/record.ts";
import type { Scheduler } from "../api/scheduler.ts";
import { knownSince } from "./past.ts";
import type { Steps } from "./slices.ts";
import { inSlices } from "./slices.ts";

/** Reads transactions that memory does not hold any more, together with those that it does: `FileHistory.read`. */
export type ReadHistory = (query: HistoryQuery, memory: readonly RecordedTxn[]) => Promise<HistoryPage>;

/** Transactions that are read to look for something that only their operations tell. */
export const READ = 10_000;

/** One transaction, from memory or from where older ones are. */
export async function findTxn(
  scheduler: Scheduler,
  readHistory: ReadHistory | undefined,
  seq: number,
): Promise<RecordedTxn | undefined> {
  const memory = scheduler.history();
  const found = memory.find((txn) => txn.seq === seq);
  if (found !== undefined || readHistory === undefined) return found;
  return (await readHistory({ from: seq, to: seq }, memory)).txns[0];
}

export interface KeyHistory {
  /** Oldest first. */
  readonly entries: readonly TimelineEntry[];
  /** Wall-clock milliseconds from when on nothing is missing; infinite if everything may be. */
  readonly since: number;
}

/** What was done with a key, as far back as anybody remembers. */
export async function keyHistory(
  scheduler: Scheduler,
  readHistory: ReadHistory | undefined,
  key: Key,
): Promise<KeyHistory> {
  const memory = scheduler.history();
  const entries = scheduler.timeline(key);
  const stats = scheduler.stats();
  const { since } = knownSince(memory, stats.since, stats.history.dropped);
  if (readHistory === undefined) return { entries, since };
  const page = await readHistory({ limit: READ }, memory);
  const first = memory[0]?.seq ?? Number.POSITIVE_INFINITY;
  const older = page.txns.filter((txn) => txn.seq < first);
  const oldest = older[0];
  if (oldest === undefined) return { entries, since };
  const gap = page.gaps.at(-1);
  const whole = gap === undefined ? oldest : older.find((txn) => txn.seq > gap.last);
  return {
    entries: [...(await inSlices(entriesOn(key, older))), ...entries],
    since: whole === undefined ? since : Math.min(since, whole.startedAt),
  };
}

function* entriesOn(key: Key, txns: readonly RecordedTxn[]): Steps<TimelineEntry[]> {
  const entries: TimelineEntry[] = [];
  for (const { planned: _, executed, seq, kind, source, description, resync, startedAt, endedAt, dryRun } of txns) {
    yield;
    if (dryRun === true) continue;
    for (const op of executed) {
      if (op.key !== key) continue;
      entries.push({
        seq,
        kind,
        source,
        ...(description !== undefined && { description }),
        ...(resync !== undefined && { resync }),
        startedAt,
        endedAt,
        op,
      });
    }
  }
  return entries;
}
