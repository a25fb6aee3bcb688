import type { RecordedOp, RecordedTxn } from "./api/record.ts";
import type { ValueStatus } from "./api/status.ts";

/**
 * Text of records for people. The text of a plan depends on nothing but the plan: the same graph and the same
 * transaction give the same text.
 */
export function renderOps(ops: readonly RecordedOp[]): string {
  const width = ops.reduce((w, op) => Math.max(w, op.key.length), 0);
  return ops.map((op) => renderOp(op, width)).join("\n");
}

/** `delete  if/1  CONFIGURED -> REMOVED  (recreate)  {"mtu":1500}` */
function renderOp(op: RecordedOp, width: number): string {
  const flags = (["derived", "recreate", "revert", "carried", "noop"] as const).filter((f) => op[f] === true);
  const parts = [op.op.padEnd(6), op.key.padEnd(width), `${op.stateBefore} -> ${op.stateAfter}`];
  if (flags.length > 0) parts.push(`(${flags.join(", ")})`);
  if (op.op === "update" && op.oldValue !== undefined) parts.push(`${op.oldValue} => ${op.value ?? ""}`);
  else if (op.value !== undefined) parts.push(op.value);
  if (op.error !== undefined) parts.push(`failed: ${op.error}`);
  return parts.join("  ");
}

/** A transaction: what it was, what was planned, and what was done where that was something else. */
export function renderTxn(txn: RecordedTxn): string {
  const lines = [`#${txn.seq} ${txn.kind} from ${txn.source}${flagsOf(txn)}`];
  if (txn.description !== undefined) lines.push(`  ${txn.description}`);
  const times = `  queued ${iso(txn.queuedAt)}, ran ${txn.endedAt - txn.startedAt} ms`;
  lines.push(times);
  if (txn.unread !== undefined) lines.push(`  could not be read: ${txn.unread.join(", ")}`);
  lines.push(...section("planned", txn.planned));
  if (txn.dryRun !== true) {
    if (sameOutcome(txn)) lines.push("  executed as planned");
    else lines.push(...section("executed", txn.executed));
  }
  if (txn.omitted !== undefined) lines.push(`  and ${txn.omitted} operations more`);
  return lines.join("\n");
}

function flagsOf(txn: RecordedTxn): string {
  const flags = [
    txn.resync === undefined ? undefined : `${txn.resync} resync`,
    txn.mode === "atomic" ? "atomic" : undefined,
  ];
  if (txn.dryRun === true) flags.push("dry run");
  const shown = flags.filter((f) => f !== undefined);
  return shown.length === 0 ? "" : ` (${shown.join(", ")})`;
}

function section(title: string, ops: readonly RecordedOp[]): string[] {
  if (ops.length === 0) return [`  ${title}: nothing`];
  const text = renderOps(ops).split("\n");
  return [`  ${title}:`, ...text.map((line) => `    ${line}`)];
}

function sameOutcome(txn: RecordedTxn): boolean {
  const line = (op: RecordedOp): string => `${op.op} ${op.key} ${op.stateAfter} ${op.noop ?? false} ${op.error ?? ""}`;
  return (
    txn.planned.length === txn.executed.length && txn.planned.every((op, i) => line(op) === line(txn.executed[i]!))
  );
}

/** One line for a value: its state, and why it is not in place. */
export function renderStatus(status: ValueStatus): string {
  const parts = [status.key, status.state];
  for (const u of status.unmet ?? []) parts.push(`waits for ${u.label}: ${u.wants.join(" or ")} since ${iso(u.since)}`);
  if (status.error !== undefined) parts.push(`${status.lastOp ?? "operation"}: ${status.error.message}`);
  return parts.join("  ");
}

function iso(wall: number): string {
  return new Date(wall).toISOString();
}
