import type { RecordedTxn } from "../api/record.ts";
import type { TxnResult } from "../api/scheduler.ts";
import type { TxnOutcome } from "../api/stats.ts";
import type { ValueState } from "../api/status.ts";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";
import type { Caller } from "./call.ts";
import type { LateKey } from "./effect.ts";
import { Execution } from "./execute.ts";
import { finish } from "./finish.ts";
import { Journal } from "./journal.ts";
import type { Op } from "./op.ts";
import { Phases } from "./phases.ts";
import { Planner } from "./plan.ts";
import { TxnRecord } from "./record.ts";
import type { Refresh } from "./refresh.ts";
import { undoing } from "./revert.ts";
import type { ExecuteSettings } from "./settings.ts";
import { Staging, type StagingLog } from "./staging.ts";
import { Truth } from "./truth.ts";
import { inTurns, type Steps } from "./turn.ts";
import { verify } from "./verify.ts";

/** One thing for the scheduler to do. */
export interface Work {
  readonly kind: "northbound" | "notification" | "retry" | "unimplemented" | "late" | "grace";
  readonly source: string;
  readonly description?: string | undefined;
  readonly resync?: "full" | "upstream" | "downstream" | undefined;
  readonly mode: "best-effort" | "atomic";
  readonly dryRun?: boolean;
  readonly queuedAt: number;
  /** What has to be learnt first. */
  prepare?(staging: Staging): Promise<void>;
  /** Changes what is wanted. */
  stage(staging: Staging): Steps<void>;
  /** After the southbound was read. */
  readonly afterRefresh?: ((staging: Staging) => Steps<void>) | undefined;
}

export interface ProcessDeps {
  readonly graph: Graph;
  readonly caller: Caller;
  readonly refresh: Refresh;
  readonly settings: ExecuteSettings;
  readonly log: StagingLog;
  /** Whether what descriptors report as done is read again. */
  readonly verify: boolean;
  /** Whether anybody wants to know which states have changed. */
  readonly isWatched: () => boolean;
  /** Told of the plan before the first operation; never throws. */
  readonly onPlan: ((txn: RecordedTxn) => void) | undefined;
  /** A call that outlived its deadline has ended. */
  readonly onLate: (keys: readonly LateKey[]) => void;
}

export interface Processed extends TxnResult {
  readonly record: TxnRecord;
  readonly outcome: TxnOutcome;
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
  const { clock, counters, turn } = settings;
  const journal = work.mode === "atomic" ? new Journal() : undefined;
  const startedAt = clock.wall();
  const visitedBefore = graph.visited;
  const staging = new Staging(graph, seq, startedAt, journal, deps.log);
  const record = new TxnRecord(work, seq, startedAt);
  const phases = new Phases(clock);

  if (work.prepare !== undefined) await work.prepare(staging);
  const staged = inTurns(turn, work.stage(staging));
  if (staged !== undefined) await staged;
  if (work.resync === "full" || work.resync === "downstream") {
    const unread = await deps.refresh.all(staging, firstRefresh);
    if (unread.length > 0) record.unread = unread;
    phases.end("refresh");
  }
  if (work.afterRefresh !== undefined) await inTurns(turn, work.afterRefresh(staging));

  let executed: Op[] = [];
  let planned = false;
  /** Whether a failure undoes everything; what cannot be undone is made the best of. */
  let atomic = work.mode === "atomic";
  for (let wave = 0; wave < MAX_WAVES && staging.dirty.length > 0; wave++) {
    if (staging.dirty.some(isUnsure)) {
      await deps.refresh.keys(staging, staging.dirty.filter(isUnsure));
      phases.end("refresh");
    }
    const plan = inTurns(turn, new Planner(staging).plan());
    const ops = plan instanceof Promise ? await plan : plan;
    if (!planned) {
      record.setPlanned(ops);
      if (ops.length > 0) deps.onPlan?.(record);
    }
    planned = true;
    phases.end("plan");
    if (atomic && staging.touched.some((n) => isInvalidHere(n, seq))) {
      await revert(deps, staging, journal!, executed);
      atomic = false;
      continue;
    }
    if (ops.length === 0) continue;
    const execution = new Execution(graph, ops, {
      txn: seq,
      atomic,
      caller: deps.caller,
      settings,
      onLate: deps.onLate,
    });
    await execution.run();
    if (executed.length === 0) executed = execution.finished;
    else for (const op of execution.finished) executed.push(op);
    let failed = execution.failed.length > 0 && (await afterFailures(deps, staging, execution));
    if (deps.verify && (await verify(deps.refresh, staging, execution.finished))) failed = true;
    if (failed && atomic) {
      await revert(deps, staging, journal!, executed);
      atomic = false;
    }
    phases.end("execute");
  }
  const suspended = settings.suspensions.names;
  if (suspended.length > 0) record.suspended = suspended;
  const finished = inTurns(turn, finish(deps, staging, record, work));
  const result = finished instanceof Promise ? await finished : finished;
  record.nodesVisited = graph.visited - visitedBefore;
  const ended = inTurns(turn, record.end(executed, clock.wall()));
  if (ended !== undefined) await ended;
  phases.end("record");
  phases.count(counters);
  return result;
}

function isUnsure(n: Node): boolean {
  return n.unsure && !n.late;
}

function isInvalidHere(n: Node, seq: number): boolean {
  return n.trouble?.kind === "invalid" && n.trouble.seq === seq;
}

/** Learns what failed operations have left behind, and marks their keys. Returns whether any has failed for good. */
async function afterFailures(deps: ProcessDeps, staging: Staging, execution: Execution): Promise<boolean> {
  const { failed } = execution;
  const { turn } = deps.settings;
  const sent = failed.filter((op) => !op.unsent);
  if (sent.length > 0) await deps.refresh.keys(staging, new Set(sent.map((op) => op.node)));
  let some = false;
  for (const op of failed) {
    if (turn.isOver()) await turn.breathe();
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
  for (const op of execution.finished) if (op.status === "skipped") staging.markDirty(op.node);
  return some;
}

/** What a removal carries is gone with it. */
function takeAlong(op: Op, truth: Truth): void {
  for (const { to } of op.outs ?? []) {
    if (to.carriedBy !== op) continue;
    to.status = "done"; // for the undoing, too
    to.outcome = to.after;
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
  const execution = new Execution(graph, undoing(executed), {
    txn: staging.seq,
    atomic: false,
    mixed: true,
    caller: deps.caller,
    settings,
    onLate: deps.onLate,
  });
  await execution.run();
  for (const op of execution.finished) executed.push(op);
  const sent = execution.failed.filter((op) => !op.unsent);
  await deps.refresh.keys(staging, new Set(sent.map((op) => op.node)));
  journal.restore(graph);
  staging.takeDirty();
  for (const op of execution.failed) {
    const n = op.node;
    const asBefore = op.kind === "delete" ? !n.present : n.present && n.actual === op.value;
    if (!asBefore) staging.fail(n, op.error!, op.kind);
  }
  for (const op of execution.finished) if (op.status === "skipped") staging.markDirty(op.node);
  staging.reverted = errors;
}
