import type { Clock } from "../../base/clock/clock.ts";
import { Slice } from "../../base/slice/slice.ts";
import type { HistoryGap, HistoryPage, HistoryQuery } from "../api/history.ts";
import type { RecordedTxn } from "../api/record.ts";
import { decodeLine, linesOf } from "./line.ts";
import { contentOf, type Segment } from "./segments.ts";
import type { Writer } from "./writer.ts";

const LIMIT = 1000;

interface Bounds {
  readonly count: number;
  readonly age: number;
  readonly clock: Clock;
}

/** The transactions that `query` asks for, from disk, buffer and memory. */
export async function readPage(
  writer: Writer,
  query: HistoryQuery,
  memory: readonly RecordedTxn[],
  bounds: Bounds,
): Promise<HistoryPage> {
  const { clock } = bounds;
  const limit = Math.max(0, query.limit ?? LIMIT);
  const from = Math.max(query.from ?? 0, writer.lastSeq - bounds.count + 1);
  const to = query.to ?? Number.POSITIVE_INFINITY;
  const since = Math.max(query.since ?? 0, clock.wall() - bounds.age);
  const until = query.until ?? Number.POSITIVE_INFINITY;
  const wanted = (t: RecordedTxn): boolean => t.seq >= from && t.seq <= to && t.endedAt >= since && t.endedAt <= until;

  const found = new Map<number, RecordedTxn>();
  const gaps: HistoryGap[] = [];
  // The buffer first: while the disk is being read what is in it now gets there.
  for (const item of writer.unwritten) {
    if ("gap" in item) gaps.push(item.gap);
    else if (wanted(item.txn)) found.set(item.txn.seq, item.txn);
  }
  for (const txn of memory) if (wanted(txn)) found.set(txn.seq, txn);

  const segments = writer.segments.filter((s, i, all) => s.first <= to && (all[i + 1]?.first ?? to) >= from);
  for (const segment of segments.reverse()) {
    // Everything older than what has been found is older than what is asked for.
    if (found.size > limit && countFrom(found, segment.first) > limit) break;
    await readSegment(segment, clock, found, gaps, wanted);
  }

  const all = [...found.values()].sort((a, b) => a.seq - b.seq);
  const txns = limit === 0 ? [] : all.slice(-limit);
  const more = all.length > txns.length;
  const oldest = more ? (txns[0]?.seq ?? to) : from;
  const isMissing = (g: HistoryGap): boolean =>
    g.last >= oldest && g.first <= to && memory.filter((t) => t.seq >= g.first && t.seq <= g.last).length < g.count;
  return { txns, gaps: gaps.filter(isMissing).sort((a, b) => a.first - b.first), more };
}

function countFrom(found: ReadonlyMap<number, RecordedTxn>, seq: number): number {
  let n = 0;
  for (const s of found.keys()) if (s >= seq) n++;
  return n;
}

async function readSegment(
  segment: Segment,
  clock: Clock,
  found: Map<number, RecordedTxn>,
  gaps: HistoryGap[],
  wanted: (txn: RecordedTxn) => boolean,
): Promise<void> {
  const content = await contentOf(segment);
  const slice = new Slice(clock);
  for (const { line } of linesOf(content)) {
    const entry = decodeLine(line);
    if (entry?.gap !== undefined) gaps.push(entry.gap);
    else if (entry !== undefined && !found.has(entry.txn.seq) && wanted(entry.txn)) {
      found.set(entry.txn.seq, entry.txn);
    }
    if (slice.isOver()) {
      await slice.pause();
    }
  }
}
