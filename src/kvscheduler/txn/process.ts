import type { Key } from "../api/descriptor.ts";
import type { TxnResult } from "../api/scheduler.ts";
import type { ValueState } from "../api/status.ts";
import type { Graph } from "../graph/graph.ts";
import { isWanted, type Node, stateOf } from "../graph/node.ts";
import type { Caller } from "./call.ts";
import { Execution } from "./execute.ts";
import { Journal } from "./journal.ts";
import type { Op } from "./op.ts";
import { Planner } from "./plan.ts";
import { TxnRecord } from "./record.ts";
import type { Refresh } from "./refresh.ts";
import { undoing } from "./revert.ts";
import type { ExecuteSettings } from "./settings.ts";
import { atOnce, inSlices } from "./slice.ts";
import { Staging, type StagingLog } from "./staging.ts";
import { Truth } from "./truth.ts";

/** One thing for the scheduler to do. */
export interface Work {
  readonly kind: "northbound" | "notification" | "retry" | "unimplemented" | "late";
  readonly source: string;
  readonly description?: string;
  readonly resync?: "full" | "upstream" | "downstream";
  readonly mode: "best-effort" | "atomic";
  readonly dryRun?: boolean;
  readonly queuedAt: number;
  /** Changes what is wanted. */
  stage(staging: Staging): void | Promise<void>;
  /** After the southbound was read. */
  afterRefresh?(staging: Staging): void;
}

export interface ProcessDeps {
  readonly graph: Graph;
  readonly caller: Caller;
  readonly refresh: Refresh;
  readonly settings: ExecuteSettings;
  readonly log: StagingLog;
  /** Whether anybody wants to know which states have changed. */
  readonly isWatched: () => boolean;
  /** A call that outlived its deadline has ended. */
  readonly onLate: (n: Node) => void;
}

export interface Processed extends TxnResult {
  readonly record: TxnRecord;
  /** Nodes that failed in this transaction and are to be retried. */
  readonly retries: readonly Node[];
  readonly changed: readonly StatusChange[];
}

export interface StatusChange {
  readonly node: Node;
  readonly state: ValueState;
  readonly previous: ValueState;
}

/** More plans than this for one transaction can only be a defect; it ends rather than going on for ever. */
const MAX_WAVES = 1000;

/** Runs one transaction: stage, refresh, then plan and execute until there is nothing left to do. */
export async function processWork(
  deps: ProcessDeps,
  seq: number,
  work: Work,
  firstRefresh: boolean,
): Promise<Processed> {
  const { graph, settings } = deps;
  const { clock } = settings;
  const atomic = work.mode === "atomic";
  const journal = atomic || work.dryRun === true ? new Journal() : undefined;
  const startedAt = clock.wall();
  const staging = new Staging(graph, seq, startedAt, journal, deps.log);
  const record = new TxnRecord({ ...work, seq, startedAt, kind: work.kind });

  const staged = work.stage(staging);
  if (staged !== undefined) await staged;
  if (work.resync === "full" || work.resync === "downstream") {
    const unread = await deps.refresh.all(staging, firstRefresh);
    if (unread.length > 0) record.unread = unread;
  }
  work.afterRefresh?.(staging);

  const executed: Op[] = [];
  let planned = false;
  for (let wave = 0; wave < MAX_WAVES && staging.dirty.length > 0; wave++) {
    const unsure = staging.dirty.filter((n) => n.unsure && n.late === undefined);
    if (unsure.length > 0 && work.dryRun !== true) await deps.refresh.keys(staging, unsure);
    // A dry run must not be seen by anybody else, so it is not interrupted.
    const steps = new Planner(staging).plan();
    const ops = work.dryRun === true ? atOnce(steps) : await inSlices(clock, steps);
    if (!planned) record.setPlanned(ops);
    planned = true;
    if (work.dryRun === true) break;
    if (ops.length === 0) continue;
    const execution = new Execution(graph, ops, {
      txn: seq,
      atomic,
      caller: deps.caller,
      settings,
      onLate: deps.onLate,
    });
    await execution.run();
    for (const op of execution.finished) executed.push(op);
    const failed = await afterFailures(deps, staging, execution);
    if (failed && atomic) {
      await revert(deps, staging, journal!, executed);
      break;
    }
  }
  return finish(deps, staging, record, executed, work, journal);
}

/** Learns what failed operations have left behind, and marks their keys. Returns whether any has failed for good. */
async function afterFailures(deps: ProcessDeps, staging: Staging, execution: Execution): Promise<boolean> {
  const { failed, superseded } = execution;
  if (failed.length === 0 && superseded.length === 0) return false;
  await deps.refresh.keys(staging, new Set([...failed.map((op) => op.node), ...superseded]));
  let some = false;
  for (const op of failed) {
    const n = op.node;
    if (op.kind === "delete" && !n.present) {
      op.status = "done"; // it answered with an error, but it is gone: that is what was asked
      op.outcome = op.after;
      n.lastOp = "delete";
      n.txn = staging.seq;
      n.missing = false;
      staging.markDirty(n);
      takeAlong(op, new Truth(staging, -1, false));
      continue;
    }
    some = true;
    staging.fail(n, op.error!, op.kind);
  }
  for (const n of superseded) staging.markDirty(n);
  for (const op of execution.finished) if (op.status === "skipped") staging.markDirty(op.node);
  return some;
}

/** What a removal carries is gone with it. */
function takeAlong(op: Op, truth: Truth): void {
  for (const { to } of op.outs ?? []) {
    if (to.carriedBy !== op) continue;
    truth.lost(to.node);
    to.node.missing = false;
    takeAlong(to, truth);
  }
}

/** Undoes everything; what cannot be undone is left as a failed key. */
async function revert(deps: ProcessDeps, staging: Staging, journal: Journal, executed: Op[]): Promise<void> {
  const { graph, settings } = deps;
  const errors = new Map<Node, Error>();
  for (const n of staging.touched) {
    if (n.trouble !== undefined && n.trouble.seq === staging.seq) errors.set(n, n.trouble.error);
  }
  const ops = undoing(executed);
  const execution = new Execution(graph, ops, {
    txn: staging.seq,
    atomic: false,
    mixed: true,
    caller: deps.caller,
    settings,
    onLate: deps.onLate,
  });
  await execution.run();
  for (const op of execution.finished) executed.push(op);
  await deps.refresh.keys(staging, new Set(execution.failed.map((op) => op.node)));
  journal.restore(graph);
  staging.takeDirty();
  for (const op of execution.failed) {
    const n = op.node;
    const asBefore = op.kind === "delete" ? !n.present : n.present && n.actual === op.value;
    if (!asBefore) staging.fail(n, op.error!, op.kind);
  }
  staging.takeDirty();
  staging.reverted = errors;
}

function finish(
  deps: ProcessDeps,
  staging: Staging,
  record: TxnRecord,
  executed: Op[],
  work: Work,
  journal: Journal | undefined,
): Processed {
  const { seq, graph } = staging;
  const errors = new Map<Key, Error>();
  const pending: Key[] = [];
  const retries: Node[] = [];
  const changed: StatusChange[] = [];
  const watched = work.dryRun !== true && deps.isWatched();
  const ofThis = (n: Node): boolean => work.kind !== "northbound" || work.resync === "downstream" || isNamed(n, seq);
  for (const n of staging.touched) {
    if (n.trouble?.kind === "failed" && !n.present && !isWanted(n)) n.trouble = undefined; // nothing left that could fail
    if (!n.goal) n.missing = false; // it waits for something else now
    const trouble = n.trouble;
    if (trouble !== undefined && trouble.seq === seq) {
      if (trouble.retrying) retries.push(n);
      if (ofThis(n)) errors.set(n.key, trouble.error);
    }
    const state = stateOf(n);
    if (state === "PENDING" && ofThis(n)) pending.push(n.key);
    if (watched && state !== n.before) changed.push(changeOf(n, state));
  }
  if (staging.reverted !== undefined) for (const [n, error] of staging.reverted) errors.set(n.key, error);
  for (const op of executed) op.outcome ??= stateOf(op.node);
  if (work.dryRun === true) journal!.restore(graph);
  graph.sweep();
  record.end(executed, deps.settings.clock.wall());
  return { seq, errors, pending: pending.sort(), record, retries, changed };
}

/** What is no more because its base or the southbound let it go is reported as removed, once. */
function changeOf(n: Node, state: ValueState): StatusChange {
  const removed = state === "NONEXISTENT" && (n.before === "OBTAINED" || n.named !== n.touched);
  return { node: n, state: removed ? "REMOVED" : state, previous: n.before };
}

/** Whether the transaction named the key, or what it is derived from. */
function isNamed(n: Node, seq: number): boolean {
  for (let x: Node | undefined = n; x !== undefined; x = x.claims?.[0]?.base ?? x.actualDeps.base) {
    if (x.named === seq) return true;
  }
  return false;
}
