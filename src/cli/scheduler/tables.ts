import type { GraphView, TimelineEntry } from "../../kvscheduler/api/graph-view.ts";
import type { RecordedOp, RecordedTxn } from "../../kvscheduler/api/record.ts";
import type { SouthboundDump } from "../../kvscheduler/api/southbound.ts";
import type { PastValue } from "../../kvscheduler/introspect/past.ts";
import { oneLine, type PlainStatus } from "../../kvscheduler/introspect/plain.ts";
import { columns, details, duration, iso } from "../../kvscheduler/introspect/text.ts";
import type { Rows } from "../output.ts";

/** Rows of what the agent's REST answers, for people. */
export function historyRows(txns: readonly RecordedTxn[]): Rows {
  return [
    ["SEQ", "ENDED", "KIND", "SOURCE", "TOOK", "OPERATIONS", "FAILED", "DESCRIPTION"],
    ...txns.map((txn) => [
      txn.seq,
      iso(txn.endedAt),
      [txn.kind, txn.resync && `${txn.resync} resync`, txn.mode === "atomic" && "atomic", txn.dryRun && "dry run"]
        .filter((word) => typeof word === "string")
        .join(", "),
      txn.source,
      duration(txn.endedAt - txn.startedAt),
      countOps(txn.dryRun === true ? txn.planned : txn.executed),
      txn.executed.filter((op) => op.error !== undefined).length || "-",
      txn.description ?? "",
    ]),
  ];
}

/** `3 create, 1 delete`; those that were not sent apart. */
function countOps(ops: readonly RecordedOp[]): string {
  const counts = new Map<string, number>();
  for (const op of ops) {
    const name = op.noop === true ? "not sent" : op.carried === true ? "carried" : op.op;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].map(([name, n]) => `${n} ${name}`).join(", ") || "-";
}

export function statusRows(statuses: readonly PlainStatus[]): Rows {
  return [
    ["KEY", "STATE", "DESCRIPTOR", "LAST", "TXN", "DETAILS"],
    ...statuses.map((s) => [s.key, s.state, s.descriptor ?? "-", s.lastOp ?? "-", s.txn ?? "-", details(s).join("; ")]),
  ];
}

/** `GET /scheduler/timeline` */
export interface Timeline {
  readonly status: PlainStatus;
  readonly entries: readonly TimelineEntry[];
  readonly completeSince?: number;
}

/** Two tables: how it is, and how that came about. */
export function timelineText({ status, entries, completeSince }: Timeline): string {
  const known = completeSince === undefined ? "nothing is known of before" : `complete since ${iso(completeSince)}`;
  const ops: Rows = [
    ["SEQ", "ENDED", "KIND", "OPERATION", "STATE", "TOOK", "VALUE"],
    ...entries.map(({ seq, endedAt, kind, op, dropped }) => [
      seq,
      iso(endedAt),
      kind,
      `${op.op}${flagsOf(op, dropped === true)}`,
      `${op.stateBefore} -> ${op.stateAfter}`,
      op.ms === undefined ? "-" : duration(op.ms),
      op.error === undefined ? (op.value ?? "") : `failed: ${op.error}`,
    ]),
  ];
  const tables = [statusRows([status]), ops].map((rows) => columns(rows.map((row) => row.map(String))));
  return `${tables.join("\n\n")}\n\n(${known})`;
}

function flagsOf(op: RecordedOp, dropped: boolean): string {
  const flags = (["derived", "recreate", "revert", "carried", "noop"] as const).filter((f) => op[f] === true);
  const all = dropped ? [...flags, "not carried out"] : flags;
  return all.length === 0 ? "" : ` (${all.join(", ")})`;
}

export interface KeyAndValue {
  readonly key: string;
  readonly value?: unknown;
}

export function dumpRows(values: readonly KeyAndValue[]): Rows {
  return [["KEY", "VALUE"], ...values.map(({ key, value }) => [key, oneLine(value)])];
}

export function southboundRows({ values, missing, unread }: SouthboundDump): Rows {
  const unreadable = unread as readonly { readonly descriptor: string; readonly error?: unknown }[];
  return [
    ["KEY", "ORIGIN", "DESCRIPTOR", "REMARK", "VALUE"],
    ...values.map((v) => [
      v.key,
      v.origin,
      v.descriptor,
      v.differs === undefined ? "-" : v.differs === "unknown" ? "not known" : "another value is known",
      oneLine(v.value),
    ]),
    ...missing.map((key) => [key, "-", "-", "not found", ""]),
    ...unreadable.map(({ descriptor, error }) => ["-", "-", descriptor, "cannot be read", oneLine(error ?? "")]),
  ];
}

export function snapshotRows(values: readonly PastValue[]): Rows {
  return [
    ["KEY", "STATE", "TXN", "VALUE"],
    ...values.map(({ key, state, txn, value }) => [key, state, txn ?? "-", value ?? ""]),
  ];
}

/** `GET /scheduler/values` */
export interface ValuePair {
  readonly key: string;
  readonly state: string;
  readonly same: boolean;
  readonly northbound?: unknown;
  readonly cached?: unknown;
}

export function valueRows(pairs: readonly ValuePair[]): Rows {
  return [
    ["KEY", "STATE", "WANTED", "IN PLACE"],
    ...pairs.map((p) => [
      p.key,
      p.state,
      "northbound" in p ? oneLine(p.northbound) : "-",
      "cached" in p ? (p.same && "northbound" in p ? "as wanted" : oneLine(p.cached)) : "-",
    ]),
  ];
}

/** `GET /scheduler/graph?format=json`, one row a value. */
export function graphRows({ nodes, edges }: GraphView): Rows {
  const needs = new Map<string, string[]>();
  for (const { from, to, kind, label, met, prefixes } of edges) {
    const target = to ?? prefixes?.map((p) => `${p}*`).join(" or ") ?? "";
    const text = `${kind === "derived" ? "of" : (label ?? "needs")}: ${target}${met ? "" : " (not met)"}`;
    needs.set(from, [...(needs.get(from) ?? []), text]);
  }
  return [
    ["KEY", "STATE", "NEEDS"],
    ...nodes.map(({ key, state }) => [key, state, (needs.get(key) ?? []).join("; ") || "-"]),
  ];
}
