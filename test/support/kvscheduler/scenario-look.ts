import type { Clock } from "../../../src/base/clock/clock.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { RecordedOp, RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import type { Scheduler, StatusNews, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";
import type { ValueStatus } from "../../../src/kvscheduler/api/status.ts";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import type { MockSouthbound } from "./mock-southbound.ts";
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

/** The parts of a scenario's run that can be looked at. */
export interface Seen {
  readonly scheduler: Scheduler;
  readonly southbound: MockSouthbound;
  readonly clock: Clock;
  readonly last: TxnResult | undefined;
  readonly refused: Error | undefined;
  /** Since the last look. */
  readonly events: string[];
  readonly warnings: string[];
}

/** What a scenario looks at, in lines. @throws Error if there is nothing by this name */
export function look(seen: Seen, what: string, args: readonly string[]): string[] {
  const { scheduler, southbound, last } = seen;
  const prefix = args[0];
  switch (what) {
    case "ops":
      return southbound.takeOps();
    case "table":
      return scheduler.statuses(prefix === undefined ? {} : { prefix }).map(tableRow);
    case "state":
      return [tableRow(scheduler.status(args[0] ?? ""))];
    case "southbound":
      return [...southbound.values(prefix)].map(([k, v]) => `${k} = ${v}`);
    case "view":
      return scheduler.dump(args[0] as "northbound" | "cached", args[1]).map((kv) => valueRow(kv.key, kv.value));
    case "plan":
      return opRows(last?.record.planned ?? []);
    case "executed":
      return opRows(last?.record.executed ?? []);
    case "pending":
      return [...(last?.pending ?? [])];
    case "errors":
      return [...(last?.errors ?? [])].map(([k, e]) => `${k}: ${e.message}`).sort();
    case "refused":
      return seen.refused === undefined ? [] : [`${seen.refused.name}: ${seen.refused.message}`];
    case "unread":
      return [...(last?.record.unread ?? [])];
    case "why":
      return whyRows(scheduler.status(args[0] ?? ""), seen.clock.wall());
    case "metadata": {
      const keys = scheduler.statuses(prefix === undefined ? {} : { prefix }).map((s) => s.key);
      const known = keys.map((k) => [k, scheduler.metadata(k)] as const).filter(([, m]) => m !== undefined);
      return known.map(([k, m]) => `${k} is ${String(m)}`);
    }
    case "correlate": {
      const seen = southbound.correlates.splice(0);
      return seen.flatMap(({ list }) => list.map((c) => valueRow(c.key, c.value)).sort());
    }
    case "history":
      return scheduler.history().map(historyRow);
    case "record":
      return opRows(scheduler.history().at(Number(args[0] ?? -1))?.executed ?? []);
    case "events":
      return seen.events.splice(0);
    case "warnings":
      return seen.warnings.splice(0);
    default:
      throw new Error("nothing to look at by this name");
  }
}
