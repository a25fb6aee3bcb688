import { DeadlineError, HeddleError } from "../../base/errors/errors.ts";
import { LateError } from "../api/errors.ts";
import type { Graph } from "../graph/graph.ts";
import { Batch, type BatchHost, batchUp } from "./batch.ts";
import type { CallEnd, Caller } from "./call.ts";
import { type LateKey, takeEffect, whenLate } from "./effect.ts";
import { invoke, type Lane, Lanes } from "./lane.ts";
import { type Edge, type Op, physical } from "./op.ts";
import type { ExecuteSettings } from "./settings.ts";
import { Spread } from "./spread.ts";
import { due, inTurns, type Steps } from "./turn.ts";

export interface ExecutionOptions {
  readonly txn: number;
  readonly atomic: boolean;
  readonly caller: Caller;
  readonly settings: ExecuteSettings;
  /** A call that outlived its deadline has ended; `landed` takes note of its effect if it said what that is. */
  readonly onLate: (keys: readonly LateKey[]) => void;
  /** The operations say themselves what comes first, also where a descriptor's removals do not. */
  readonly mixed?: boolean;
}

/**
 * Carries out one plan. Operations that do not wait for each other run at once, as far as the limits allow; what answers
 * without a promise costs no turn of the event loop. A failure skips what depends on it, nothing else.
 */
export class Execution implements BatchHost {
  readonly failed: Op[] = [];
  /** In the order of their ends. */
  readonly finished: Op[] = [];
  readonly txn: number;
  readonly caller: Caller;
  readonly settings: ExecuteSettings;
  readonly atomic: boolean;
  readonly #ops: readonly Op[];
  readonly #graph: Graph;
  readonly #onLate: ExecutionOptions["onLate"];
  readonly #lanes: Lanes;
  readonly #mixed: boolean;
  #batches: readonly Batch[] = [];
  #running = 0;
  #left: number;
  #cursor = 0;
  #stopped = false;
  /** Whether operations are being started: those that end at once make others ready. */
  #pumping = false;
  /** Whether others have their turn of the event loop before more is started. */
  #resting = false;
  readonly #spread: Spread;
  /** Skipped, and their commits do not know yet. */
  readonly #dropped: Op[] = [];
  #stopping = false;
  #resolve: (() => void) | undefined;

  constructor(graph: Graph, ops: readonly Op[], options: ExecutionOptions) {
    this.#graph = graph;
    this.#ops = ops;
    this.#left = ops.length;
    this.txn = options.txn;
    this.atomic = options.atomic;
    this.caller = options.caller;
    this.settings = options.settings;
    this.#onLate = options.onLate;
    this.#mixed = options.mixed === true;
    this.#lanes = new Lanes(options.settings.perDescriptor);
    this.#spread = new Spread(options.settings.turn, {
      left: () => this.#left,
      tell: (op, edge) => this.#tell(op, edge),
      told: () => this.#drop(),
      proceed: () => this.#pump(),
    });
  }

  /** Resolves when every operation has ended or was skipped. Does not wait if all answer at once. */
  async run(): Promise<void> {
    const { turn } = this.settings;
    const prepared = inTurns(turn, this.#prepare());
    if (prepared !== undefined) await prepared;
    while (this.#cursor < this.#ops.length) {
      // Past it before anything is waited for: from here on whoever ends last of what it waits for wakes it.
      const op = this.#ops[this.#cursor++]!;
      if (op.waits === 0 && op.status === "waiting") this.#start(op);
      if (turn.isOver()) await turn.breathe();
    }
    this.#pump();
    if (this.#left > 0) await turn.away(new Promise<void>((resolve) => (this.#resolve = resolve)));
  }

  /** Starts nothing more; {@link run} ends when what runs has ended. */
  stop(): void {
    this.#stopped = true;
    this.#stopping = true;
    for (const op of this.#ops) {
      // What a running removal carries goes with it, whether we like it or not.
      const carrier = op.carriedBy === undefined ? op : physical(op);
      if (op.status === "waiting" && (carrier.status === "waiting" || carrier.status === "skipped")) this.#skip(op);
    }
    this.#stopping = false;
    this.#drop();
  }

  *#prepare(): Steps<void> {
    for (const op of this.#ops) {
      if (due()) yield;
      if (!isGrouped(op)) continue;
      this.#batches = yield* batchUp(this.#ops, this);
      break;
    }
    for (const op of this.#ops) {
      if (due()) yield;
      if (op.ins !== undefined) {
        for (const edge of op.ins) {
          const { from } = edge;
          if (from.outs === undefined) from.outs = [edge];
          else from.outs.push(edge);
          if (op.batch === undefined || edge.from.batch !== op.batch) op.waits++;
        }
      }
      if (op.kind === "delete" && !op.silent && op.batch === undefined) {
        this.#lanes.of(op.node.descriptor!).removals++;
      }
    }
  }

  // --- for commits ---

  begin(): void {
    this.#running++;
  }

  end(): void {
    this.#running--;
    this.#pump();
  }

  succeed(op: Op, metadata: unknown): void {
    takeEffect(this.#graph, op, metadata, this.txn);
    this.#finish(op, "done");
  }

  fail(op: Op, error: Error): void {
    op.error = error;
    this.failed.push(op);
    this.#finish(op, "failed");
    if (this.atomic && !this.#stopped) this.stop();
  }

  refuse(op: Op, error: Error): void {
    op.unsent = true;
    this.fail(op, error);
  }

  proceed(): void {
    this.#pump();
  }

  lateUntil(ops: readonly Op[], end: Promise<unknown>): void {
    whenLate(this.#graph, ops, end, this.txn, (keys) => {
      for (const { node } of keys) this.settings.suspensions.answered(node.descriptor!);
      this.#onLate(keys);
    });
  }

  // --- single operations ---

  #start(op: Op): void {
    if (op.silent) {
      takeEffect(this.#graph, op, undefined, this.txn);
      this.#finish(op, "done");
      return;
    }
    if (op.batch !== undefined) {
      (op.batch as Batch).ready(op);
      return;
    }
    const entry = op.node.descriptor!;
    const lane = this.#lanes.of(entry);
    if (op.kind !== "delete" && lane.removals > 0 && !this.#mixed) lane.afterRemovals.push(op);
    else if (lane.running >= lane.limit) lane.waiting.push(op);
    else if (this.#running >= this.settings.total || this.#resting) this.#lanes.crowd(op);
    else if (op.node.late) this.refuse(op, new LateError(op.node.key));
    else {
      const suspended = this.settings.suspensions.of(entry);
      if (suspended === undefined) this.#send(op, lane);
      else this.refuse(op, suspended);
    }
  }

  #send(op: Op, lane: Lane): void {
    const { turn } = this.settings;
    const { entry } = lane;
    op.status = "running";
    op.startedAt = this.settings.clock.now();
    lane.running++;
    this.#running++;
    const deadline = entry.api.deadline ?? this.settings.deadline;
    let atOnce = true;
    this.caller.start(
      () => `${op.kind} of ${op.node.key}`,
      this.txn,
      deadline,
      (ctx) => invoke(op, entry, ctx),
      (end) => {
        if (!atOnce) turn.enter();
        this.#lanes.free(lane);
        this.#running--;
        this.#settle(op, end);
        // Those whose time is up at once with this one are heard before their slots are given to others.
        if (end.late === undefined) this.#pump();
        else queueMicrotask(() => this.#pump());
        if (!atOnce) turn.leave();
      },
    );
    atOnce = false;
  }

  #settle(op: Op, end: CallEnd): void {
    const entry = op.node.descriptor!;
    if (end.late !== undefined) {
      this.settings.suspensions.expired(entry);
      this.lateUntil([op], end.late);
    } else {
      this.settings.suspensions.answered(entry);
    }
    if (end.error === undefined) this.succeed(op, end.value);
    else this.fail(op, end.error);
  }

  /** Starts what may start, until there is nothing more or it is others' turn. */
  #pump(): void {
    if (this.#pumping || this.#resting || this.#spread.isBusy || this.#left === 0) return;
    const { turn, total } = this.settings;
    this.#pumping = true;
    for (let op = this.#next(total); op !== undefined; op = this.#next(total)) {
      if (op.status === "waiting") this.#start(op);
      if (turn.isOver()) {
        void this.#rest(); // never rejects
        break;
      }
    }
    this.#pumping = false;
    this.#unblock();
  }

  #next(total: number): Op | undefined {
    return this.#lanes.next(this.#running < total);
  }

  async #rest(): Promise<void> {
    const { turn } = this.settings;
    this.#resting = true;
    await turn.breathe();
    this.#resting = false;
    this.#pump();
    turn.leave();
  }

  #finish(op: Op, status: "done" | "failed" | "skipped"): void {
    if (op.status === "running") {
      op.ms = this.settings.clock.now() - op.startedAt;
      const end = status === "done" ? "ok" : op.error instanceof DeadlineError ? "late" : "failed";
      if (op.batch === undefined) this.settings.counters.call(op.node.descriptor!.name, op.kind, op.ms, end);
    }
    op.status = status;
    if (status === "done") op.outcome = op.after;
    this.finished.push(op);
    this.#left--;
    if (op.kind === "delete" && !op.silent && op.batch === undefined) {
      const lane = this.#lanes.of(op.node.descriptor!);
      if (--lane.removals === 0) for (const next of lane.afterRemovals.splice(0)) this.#lanes.wake(next);
    }
    this.#spread.add(op);
    if (this.#left === 0) this.#resolve?.();
  }

  #tell(op: Op, { to, hard }: Edge): void {
    if (to.status !== "waiting") return;
    if (hard && op.status !== "done") this.#skip(to);
    else if (to.batch === undefined || to.batch !== op.batch) {
      if (--to.waits === 0 && to.index < this.#cursor) this.#lanes.wake(to);
    }
  }

  #skip(op: Op): void {
    if (op.status !== "waiting") return;
    if (op.batch !== undefined) this.#dropped.push(op);
    this.#finish(op, "skipped");
    this.#drop();
  }

  /** Commits learn of it only when all that has to be skipped with it is known: they may go ahead with the rest then. */
  #drop(): void {
    if (this.#spread.isBusy || this.#stopping || this.#dropped.length === 0) return;
    for (const op of this.#dropped.splice(0)) (op.batch as Batch).dropped(op);
  }

  /** If nothing runs and yet something is left, commits wait for each other: one of them goes ahead with a part. */
  #unblock(): void {
    if (this.#running > 0 || this.#left === 0 || this.#cursor < this.#ops.length) return;
    if (this.#resting || this.#spread.isBusy) return;
    for (const batch of this.#batches) if (batch.commitPart()) return;
    for (const op of this.#ops) {
      if (op.status === "waiting") {
        this.fail(op, new HeddleError("STALLED", `${op.kind} of ${op.node.key} cannot be ordered`));
      }
    }
  }
}

function isGrouped(op: Op): boolean {
  return op.node.descriptor?.group !== undefined && !op.silent;
}
