import type { TimelineEntry } from "../api/graph-view.ts";
import type { Distribution, SchedulerStats } from "../api/stats.ts";
import type { ValueState } from "../api/status.ts";
import { renderOps } from "../render.ts";
import type { PlainStatus } from "./plain.ts";

/** Cells of one line each, made into columns; trailing blanks are cut off. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export const iso = (wall: number): string => new Date(wall).toISOString();

/** `1.25 ms`, `12.5 s`: three digits that matter. */
export function duration(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toPrecision(3)} s`;
  if (ms >= 1000) return `${Math.round(ms)} ms`;
  return `${Number(ms.toPrecision(3))} ms`;
}

/** One line for a value: what it is in, and why it is not in place. Those derived from it follow, indented. */
export function statusText(status: PlainStatus, indent = ""): string {
  const parts = [`${indent}${status.key}`, status.state];
  if (status.descriptor !== undefined) parts.push(`(${status.descriptor})`);
  parts.push(...details(status));
  return parts.join("  ");
}

/** Why a value is not in place: what it waits for, or what failed. */
export function details(status: PlainStatus): string[] {
  const found = (status.unmet ?? []).map(
    ({ label, wants, since }) => `waits for ${label}: ${wants.join(" or ")} since ${iso(since)}`,
  );
  if (status.error !== undefined) found.push(`${status.lastOp ?? "operation"}: ${status.error}`);
  if (status.fields !== undefined) found.push(`fields: ${status.fields.join(", ")}`);
  return found;
}

/** A key's past, one operation a line, its transaction first. */
export function timelineText(entries: readonly TimelineEntry[]): string {
  const ops = renderOps(entries.map((e) => e.op)).split("\n");
  const txns = entries.map(({ seq, endedAt, kind, source, resync, dropped }) => [
    iso(endedAt),
    `#${seq}`,
    `${kind} from ${source}${resync === undefined ? "" : `, ${resync} resync`}`,
    dropped === true ? "not carried out:" : "",
  ]);
  const heads = columns(txns).split("\n");
  const width = heads.reduce((w, line) => Math.max(w, line.length), 0);
  return heads.map((head, i) => `${head.padEnd(width)}  ${ops[i]}`).join("\n");
}

/** How many values are in which state, over all descriptors. */
export function statesOf(stats: SchedulerStats): ReadonlyMap<ValueState, number> {
  const sums = new Map<ValueState, number>();
  for (const { states } of stats.values) {
    for (const [state, n] of Object.entries(states)) {
      sums.set(state as ValueState, (sums.get(state as ValueState) ?? 0) + n);
    }
  }
  return new Map([...sums].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** The statistics, in tables. */
export function statsText(stats: SchedulerStats): string {
  const { queue, retries, watchers, graph, history } = stats;
  const parts = [
    columns([
      ["since", iso(stats.since)],
      ["transactions", `${stats.lastSeq} so far`],
      ["queue", `${queue.length} of ${queue.capacity}; ${queue.refused} refused`],
      ["nodes", `${graph.nodes}`],
      ["retries", `${retries.waiting} keys wait; ${retries.run} transactions so far`],
      ["suspended", stats.suspended.join(", ") || "no descriptor"],
      ["awaited", stats.awaited.join(", ") || "no source"],
      ["watchers", `${watchers.open} open; ${watchers.missed} events missed`],
      ["history", `${history.transactions} transactions, ${history.bytes} bytes; ${history.dropped} dropped`],
      ["longest slice", duration(stats.longestSliceMs)],
    ]),
    table(
      ["TRANSACTIONS", "OUTCOMES", "WAIT avg", "max", "RUN avg", "max"],
      stats.transactions.map((t) => [t.kind, counts(t.outcomes), ...avgMax(t.wait), ...avgMax(t.duration)]),
    ),
    table(
      ["PHASE", "N", "avg", "max"],
      stats.phases.map((p) => [p.phase, `${p.duration.count}`, ...avgMax(p.duration)]),
    ),
    table(
      ["DESCRIPTOR", "CALL", "OUTCOMES", "avg", "max"],
      stats.calls.map((c) => [c.descriptor, c.op, counts(c.outcomes), ...avgMax(c.duration)]),
    ),
    table(
      ["DESCRIPTOR", "VALUES"],
      stats.values.map(({ descriptor, states }) => [descriptor ?? "(none)", counts(states) || "none"]),
    ),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

/** Nothing at all if there are no rows. */
function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? "" : columns([heading, ...rows]);
}

/** `12 ok, 1 failed` */
function counts(outcomes: Readonly<Partial<Record<string, number>>>): string {
  const shown = Object.entries(outcomes).filter(([, n]) => n !== undefined && n > 0);
  return shown.map(([name, n]) => `${n} ${name}`).join(", ");
}

function avgMax(d: Distribution): [string, string] {
  return d.count === 0 ? ["-", "-"] : [duration(d.sumMs / d.count), duration(d.maxMs)];
}
