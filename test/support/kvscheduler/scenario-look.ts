import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { RecordedOp, RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import type { StatusNews } from "../../../src/kvscheduler/api/scheduler.ts";
import type { ValueStatus } from "../../../src/kvscheduler/api/status.ts";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import type { MockValue } from "./mock-value.ts";
import { printValue } from "./scenario-values.ts";

// How what was found is put into lines, to be compared with those of a scenario.

/** `rt/1 PENDING waits for if/1` */
export function tableRow(status: ValueStatus): string {
  const parts = [status.key, status.state];
  for (const u of status.unmet ?? []) parts.push("waits for", u.wants.join(" or "));
  if (status.error !== undefined) parts.push(`(${status.error.message})`);
  return parts.join(" ");
}

/** `needs "interface": if/1, for 1000 ms` */
export function whyRows(status: ValueStatus, wall: number): string[] {
  return (status.unmet ?? []).map((u) => `needs ${u.label}: ${u.wants.join(" or ")}, for ${wall - u.since} ms`);
}

/** `delete if/1 CONFIGURED -> NONEXISTENT (carried)` */
export function opRows(ops: readonly RecordedOp[]): string[] {
  if (ops.length === 0) return [];
  const bare = ops.map(({ value: _value, oldValue: _oldValue, ...rest }) => rest);
  return renderOps(bare).split("\n");
}

/** `3: northbound by default (full resync): 1 planned, 1 executed` */
export function historyRow(txn: RecordedTxn): string {
  const flags: string[] = [];
  if (txn.resync !== undefined) flags.push(`${txn.resync} resync`);
  if (txn.mode === "atomic") flags.push("atomic");
  if (txn.dryRun === true) flags.push("dry run");
  const shown = flags.length === 0 ? "" : ` (${flags.join(", ")})`;
  const what = txn.description === undefined ? "" : ` "${txn.description}"`;
  const counts = `${txn.planned.length} planned, ${txn.executed.length} executed`;
  return `${txn.seq}: ${txn.kind} by ${txn.source}${shown}${what}: ${counts}`;
}

/** `if/1 NONEXISTENT -> CONFIGURED` */
export function eventRow({ event, missed }: StatusNews): string {
  if (missed !== undefined) return `missed ${missed.count}: ${missed.keys.join(" ")}`;
  const error = event.status.error === undefined ? "" : ` (${event.status.error.message})`;
  return `${event.status.key} ${event.previous} -> ${event.status.state}${error}`;
}

/** `if/1 = up` */
export function valueRow(key: Key, value: unknown): string {
  return `${key} = ${printValue(value as MockValue)}`;
}
