import type { Timer } from "../../base/clock/clock.ts";
import { toError } from "../../base/errors/errors.ts";
import type { CommitGroup } from "../api/descriptor.ts";
import type { Caller } from "./call.ts";
import { CommitRun } from "./commit.ts";
import type { Op } from "./op.ts";
import type { ExecuteSettings } from "./settings.ts";
import { due, type Steps } from "./turn.ts";

/** The execution that commits belong to. */
export interface BatchHost {
  readonly txn: number;
  readonly caller: Caller;
  readonly settings: ExecuteSettings;
  readonly atomic: boolean;
  begin(): void;
  end(): void;
  succeed(op: Op, metadata: unknown): void;
  fail(op: Op, error: Error): void;
  /** `op` is not sent. */
  refuse(op: Op, error: Error): void;
  lateUntil(ops: readonly Op[], end: Promise<unknown>): void;
  /** Starts what has become free. */
  proceed(): void;
}

/** The last commit of each group: there is only one at a time. */
const tails = new WeakMap<CommitGroup, Promise<unknown>>();

/**
 * Puts the operations of each commit group together, as few commits as the operations outside of the group allow: an
 * operation that has to wait for one outside, which in turn has to wait for one of the group, goes to the next commit.
 * `ops` are in topological order.
 */
export function* batchUp(ops: readonly Op[], host: BatchHost): Steps<Batch[]> {
  const groups = new Map<CommitGroup, number>();
  for (const op of ops) {
    if (due()) yield;
    const group = op.silent ? undefined : op.node.descriptor!.group;
    if (group !== undefined && !groups.has(group)) groups.set(group, groups.size);
  }
  if (groups.size === 0) return [];
  const batches: Batch[] = [];
  const perGroup: Batch[][] = Array.from(groups, () => []);
  /** By descriptor: the highest level among its removals; everything that it makes comes after them. */
  const removals = new Map<string, number[]>();
  for (const op of ops) {
    if (due()) yield;
    const own = op.silent ? undefined : op.node.descriptor!.group;
    const ownIndex = own === undefined ? -1 : groups.get(own)!;
    const levels: number[] = Array.from(groups, () => 0);
    op.levels = levels;
    for (const edge of op.ins ?? []) {
      const from = edge.from;
      const fromGroup = from.batch === undefined ? -1 : (from.batch as Batch).groupIndex;
      raise(levels, from.levels, fromGroup, ownIndex);
    }
    if (own === undefined && !op.silent) {
      const name = op.node.descriptor!.name;
      if (op.kind === "delete") {
        const highest = removals.get(name) ?? levels.slice();
        raise(highest, levels, -1, -1);
        removals.set(name, highest);
      } else {
        raise(levels, removals.get(name), -1, -1);
      }
    }
    if (own === undefined) continue;
    const level = levels[ownIndex]!;
    let batch = perGroup[ownIndex]![level];
    if (batch === undefined) {
      batch = new Batch(own, ownIndex, host);
      perGroup[ownIndex]![level] = batch;
      batches.push(batch);
    }
    batch.add(op);
  }
  return batches;
}

function raise(levels: number[], from: readonly number[] | undefined, fromGroup: number, ownGroup: number): void {
  if (from === undefined) return;
  for (let g = 0; g < levels.length; g++) {
    const level = fromGroup === g && ownGroup !== g ? from[g]! + 1 : from[g]!;
    if (level > levels[g]!) levels[g] = level;
  }
}

/** The operations of one southbound commit. */
export class Batch {
  readonly groupIndex: number;
  readonly #group: CommitGroup;
  readonly #host: BatchHost;
  /** Operations that still wait for something outside. */
  #open = 0;
  #ready: Op[] = [];
  #committing = false;
  #patience: Timer | undefined;

  constructor(group: CommitGroup, groupIndex: number, host: BatchHost) {
    this.#group = group;
    this.groupIndex = groupIndex;
    this.#host = host;
  }

  add(op: Op): void {
    op.batch = this;
    this.#open++;
  }

  /** Nothing outside holds up `op` any more. */
  ready(op: Op): void {
    this.#open--;
    op.inReach = true;
    this.#ready.push(op);
    this.#commitIfComplete();
  }

  /** `op` was skipped. */
  dropped(op: Op): void {
    if (!op.inReach) this.#open--;
    this.#commitIfComplete();
  }

  /** Goes ahead with what is ready. Returns false if there is nothing. */
  commitPart(): boolean {
    if (this.#committing || this.#ready.length === 0) return false;
    const ready = this.#takeReady();
    const part = new Set<Op>();
    for (const op of ready) {
      const free =
        op.ins?.every((e) => e.from.batch !== this || e.from.status !== "waiting" || part.has(e.from)) ?? true;
      if (free) part.add(op);
      else this.#ready.push(op);
    }
    if (part.size === 0) return false;
    this.#commit([...part]);
    return true;
  }

  #commitIfComplete(): void {
    if (this.#committing || this.#ready.length === 0) return;
    if (this.#open === 0) {
      this.#commit(this.#takeReady());
    } else {
      this.#patience ??= this.#host.settings.clock.schedule(this.#host.settings.groupPatience, () => {
        this.#patience = undefined;
        this.commitPart();
      });
    }
  }

  #takeReady(): Op[] {
    const ready = this.#ready.filter((op) => op.status === "waiting").sort((a, b) => a.index - b.index);
    this.#ready = [];
    return ready;
  }

  #commit(ops: Op[]): void {
    if (ops.length === 0) return;
    this.#patience?.cancel();
    this.#patience = undefined;
    this.#committing = true;
    this.#host.begin();
    const run = new CommitRun(this.#group, this.#host);
    const over = run
      .start(ops, tails.get(this.#group))
      .catch((e: unknown) => {
        // A defect: whatever has not ended must end all the same.
        const error = toError(e);
        for (const op of ops) if (op.status === "waiting" || op.status === "running") this.#host.fail(op, error);
      })
      .then(() => {
        this.#committing = false;
        this.#host.end();
        this.#commitIfComplete();
        run.leave();
      });
    tails.set(this.#group, over);
  }
}
