import { DeadlineError, HeddleError } from "../../base/errors/errors.ts";
import type { Graph } from "../graph/graph.ts";
import { NO_DEPS, type Node } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import { Batch, type BatchHost, batchUp } from "./batch.ts";
import type { CallEnd, Caller } from "./call.ts";
import { invoke, type Lane, laneOf } from "./lane.ts";
import { type Op, physical } from "./op.ts";
import type { ExecuteSettings } from "./settings.ts";
import { breathe, Slice } from "./slice.ts";

/**
 * Carries out one plan. Operations that do not wait for each other run at once, as far as the limits allow; what answers
 * without a promise costs no turn of the event loop. A failure skips what depends on it, nothing else.
 */
export class Execution implements BatchHost {
  readonly failed: Op[] = [];
  /** Keys whose earlier operation ended late: what is in place has to be read before anything else is done. */
  readonly superseded: Node[] = [];
  /** In the order of their ends. */
  readonly finished: Op[] = [];
  readonly txn: number;
  readonly caller: Caller;
  readonly settings: ExecuteSettings;
  readonly atomic: boolean;
  readonly #ops: readonly Op[];
  readonly #graph: Graph;
  readonly #onLate: (n: Node) => void;
  readonly #lanes: Lane[] = [];
  readonly #crowd: Op[] = [];
  readonly #batches: Batch[];
  readonly #mixed: boolean;
  #running = 0;
  #left: number;
  #cursor = 0;
  #stopped = false;
  /** Depth of operations that start each other without a turn of the event loop in between. */
  #nested = 0;
  #resolve: (() => void) | undefined;

  constructor(
    graph: Graph,
    ops: readonly Op[],
    options: {
      txn: number;
      atomic: boolean;
      caller: Caller;
      settings: ExecuteSettings;
      onLate: (n: Node) => void;
      /** The operations say themselves what comes first, also where a descriptor's removals do not. */
      mixed?: boolean;
    },
  ) {
    this.#graph = graph;
    this.#ops = ops;
    this.#left = ops.length;
    this.txn = options.txn;
    this.atomic = options.atomic;
    this.caller = options.caller;
    this.settings = options.settings;
    this.#onLate = options.onLate;
    this.#mixed = options.mixed === true;
    this.#batches = batchUp(ops, this);
    for (const op of ops) {
      if (op.ins !== undefined) {
        for (const edge of op.ins) {
          (edge.from.outs ??= []).push(edge);
          if (op.batch === undefined || edge.from.batch !== op.batch) op.waits++;
        }
      }
      if (op.kind === "delete" && !op.silent && op.batch === undefined) this.#lane(op.node.descriptor!).removals++;
    }
  }

  /** Resolves when every operation has ended or was skipped. Does not wait if all answer at once. */
  async run(): Promise<void> {
    const slice = new Slice(this.settings.clock);
    for (; this.#cursor < this.#ops.length; this.#cursor++) {
      const op = this.#ops[this.#cursor]!;
      if (op.waits === 0 && op.status === "waiting") this.#start(op);
      if (slice.isOver()) {
        await breathe();
        slice.restart();
      }
    }
    this.#unblock();
    if (this.#left > 0) await new Promise<void>((resolve) => (this.#resolve = resolve));
  }

  /** Starts nothing more; {@link run} ends when what runs has ended. */
  stop(): void {
    this.#stopped = true;
    for (const op of this.#ops) {
      // What a running removal carries goes with it, whether we like it or not.
      const carrier = op.carriedBy === undefined ? op : physical(op);
      if (op.status === "waiting" && (carrier.status === "waiting" || carrier.status === "skipped")) this.#skip(op);
    }
  }

  // --- for commits ---

  begin(): void {
    this.#running++;
  }

  end(): void {
    this.#running--;
    this.#refill();
    this.#unblock();
  }

  succeed(op: Op, metadata: unknown): void {
    this.#apply(op, metadata);
    this.#finish(op, "done");
  }

  fail(op: Op, error: Error): void {
    op.error = error;
    this.failed.push(op);
    this.#finish(op, "failed");
    if (this.atomic && !this.#stopped) this.stop();
  }

  /** What is in place is not known any more: not carried out, to be planned again. */
  supersede(op: Op): void {
    this.superseded.push(op.node);
    this.#skip(op);
  }

  lateUntil(nodes: readonly Node[], end: Promise<unknown>): void {
    for (const n of nodes) {
      const late = { waiters: [] as (() => void)[] };
      n.late = late;
      n.unsure = true;
      const over = (): void => {
        if (n.late === late) n.late = undefined;
        for (const w of late.waiters) w();
        this.#onLate(n);
      };
      end.then(over, over);
    }
  }

  // --- single operations ---

  #start(op: Op): void {
    if (op.silent) {
      this.#apply(op, undefined);
      this.#finish(op, "done");
      return;
    }
    if (op.batch !== undefined) {
      (op.batch as Batch).ready(op);
      return;
    }
    const lane = this.#lane(op.node.descriptor!);
    if (op.kind !== "delete" && lane.removals > 0 && !this.#mixed) lane.afterRemovals.push(op);
    else if (lane.running >= lane.limit) lane.waiting.push(op);
    else if (this.#running >= this.settings.total) this.#crowd.push(op);
    else if (op.node.late !== undefined) this.#awaitLate(op, op.node.late.waiters);
    else this.#send(op, lane);
  }

  #send(op: Op, lane: Lane): void {
    const entry = op.node.descriptor!;
    op.status = "running";
    op.startedAt = this.settings.clock.now();
    lane.running++;
    this.#running++;
    const deadline = entry.api.deadline ?? this.settings.deadline;
    this.caller.start(
      () => `${op.kind} of ${op.node.key}`,
      this.txn,
      deadline,
      (ctx) => invoke(op, entry, ctx),
      (end) => {
        lane.running--;
        this.#running--;
        this.#settle(op, end);
        this.#refill(lane);
        this.#unblock();
      },
    );
  }

  #settle(op: Op, end: CallEnd): void {
    if (end.late !== undefined) this.lateUntil([op.node], end.late);
    if (end.error === undefined) this.succeed(op, end.value);
    else this.fail(op, end.error);
  }

  /** Gives free slots to those that wait for them. */
  #refill(lane?: Lane): void {
    if (this.#crowd.length === 0 && (lane === undefined || lane.waiting.length === 0)) return;
    this.#nested++;
    if (lane !== undefined) {
      while (lane.waiting.length > 0 && lane.running < lane.limit) this.#restart(lane.waiting.shift()!);
    }
    while (this.#crowd.length > 0 && this.#running < this.settings.total) this.#restart(this.#crowd.shift()!);
    this.#nested--;
  }

  #restart(op: Op): void {
    if (op.status === "waiting") this.#start(op);
  }

  /** The earlier operation on this key still runs: two at once could end in any order. */
  #awaitLate(op: Op, waiters: (() => void)[]): void {
    op.status = "running";
    op.startedAt = this.settings.clock.now();
    this.#running++;
    const deadline = op.node.descriptor!.api.deadline ?? this.settings.deadline;
    const wait = (): Promise<void> => new Promise((resolve) => waiters.push(resolve));
    this.caller.start(
      () => `${op.kind} of ${op.node.key} (an earlier operation on it still runs; it)`,
      this.txn,
      deadline,
      wait,
      (end) => {
        this.#running--;
        if (end.error instanceof DeadlineError) {
          this.fail(op, end.error);
        } else {
          op.status = "waiting";
          this.supersede(op);
        }
        this.#refill();
        this.#unblock();
      },
    );
  }

  /** What is in the southbound after a success. */
  #apply(op: Op, metadata: unknown): void {
    if (op.noop) return;
    const n = op.node;
    n.lastOp = op.kind;
    n.txn = this.txn;
    n.unsure = false;
    if (op.kind === "delete") {
      n.present = false;
      n.actual = undefined;
      n.metadata = undefined;
      this.#graph.setActualDeps(n, NO_DEPS);
      this.#graph.mayBeIdle(n);
      return;
    }
    n.present = true;
    n.actual = op.value;
    n.metadata = metadata;
    n.southbound = false;
    n.discovered = false;
    n.missing = false;
    n.attempts = 0;
    this.#graph.setActualDeps(n, op.deps);
  }

  #finish(op: Op, status: "done" | "failed" | "skipped"): void {
    if (op.startedAt > 0) op.ms = this.settings.clock.now() - op.startedAt;
    op.status = status;
    if (status === "done") op.outcome = op.after;
    this.finished.push(op);
    this.#left--;
    if (op.kind === "delete" && !op.silent && op.batch === undefined) {
      const lane = this.#lane(op.node.descriptor!);
      if (--lane.removals === 0 && lane.afterRemovals.length > 0) {
        this.#nested++;
        for (const next of lane.afterRemovals.splice(0)) this.#restart(next);
        this.#nested--;
      }
    }
    if (op.outs !== undefined) {
      this.#nested++;
      for (const edge of op.outs) {
        const to = edge.to;
        if (to.status !== "waiting") continue;
        if (edge.hard && status !== "done") {
          this.#skip(to);
        } else if (to.batch === undefined || to.batch !== op.batch) {
          if (--to.waits === 0 && to.index < this.#cursor) this.#start(to);
        }
      }
      this.#nested--;
    }
    if (this.#left === 0) this.#resolve?.();
  }

  #skip(op: Op): void {
    if (op.status !== "waiting") return;
    const batch = op.batch as Batch | undefined;
    this.#finish(op, "skipped");
    batch?.dropped(op);
  }

  #lane(entry: Entry): Lane {
    return (this.#lanes[entry.index] ??= laneOf(entry, this.settings.perDescriptor));
  }

  /** If nothing runs and yet something is left, commits wait for each other: one of them goes ahead with a part. */
  #unblock(): void {
    if (this.#running > 0 || this.#left === 0 || this.#nested > 0 || this.#cursor < this.#ops.length) return;
    for (const batch of this.#batches) if (batch.commitPart()) return;
    for (const op of this.#ops) {
      if (op.status === "waiting") {
        this.fail(op, new HeddleError("STALLED", `${op.kind} of ${op.node.key} cannot be ordered`));
      }
    }
  }
}
