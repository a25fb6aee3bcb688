import type { Duration, Timer } from "../../base/clock/clock.ts";
import { DeadlineError, HeddleError, toError } from "../../base/errors/errors.ts";
import type { CommitGroup, GroupOp, GroupOpResult } from "../api/descriptor.ts";
import type { Node } from "../graph/node.ts";
import type { Caller } from "./call.ts";
import type { Op } from "./op.ts";
import type { ExecuteSettings } from "./settings.ts";

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
  supersede(op: Op): void;
  lateUntil(nodes: readonly Node[], end: Promise<unknown>): void;
}

/** The last commit of each group: there is only one at a time. */
const tails = new WeakMap<CommitGroup, Promise<unknown>>();
/** Commits that outlived their deadline: the next one waits until it is known what became of them. */
const lateCommits = new WeakMap<CommitGroup, Promise<unknown>>();

/**
 * Puts the operations of each commit group together, as few commits as the operations outside of the group allow: an
 * operation that has to wait for one outside, which in turn has to wait for one of the group, goes to the next commit.
 * `ops` are in topological order.
 */
export function batchUp(ops: readonly Op[], host: BatchHost): Batch[] {
  const groups = new Map<CommitGroup, number>();
  for (const op of ops) {
    const group = op.silent ? undefined : op.node.descriptor!.group;
    if (group !== undefined && !groups.has(group)) groups.set(group, groups.size);
  }
  if (groups.size === 0) return [];
  const batches: Batch[] = [];
  const perGroup: Batch[][] = Array.from(groups, () => []);
  /** By descriptor: the highest level among its removals; everything that it makes comes after them. */
  const removals = new Map<string, number[]>();
  for (const op of ops) {
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
    const before = tails.get(this.#group);
    const run = async (): Promise<void> => {
      if (before !== undefined) await before;
      const max = this.#group.maxOps ?? ops.length;
      for (let i = 0; i < ops.length; i += max) await this.#narrow(ops.slice(i, i + max));
    };
    const over = run()
      .catch((e: unknown) => {
        for (const op of ops) if (op.status === "waiting") this.#host.fail(op, toError(e));
      })
      .then(() => {
        this.#committing = false;
        this.#host.end();
        this.#commitIfComplete();
      });
    tails.set(this.#group, over);
  }

  /** Commits; if the commit is refused, its halves, down to the operations that are guilty. */
  async #narrow(all: readonly Op[]): Promise<void> {
    const ops = all.filter((op) => op.status === "waiting");
    if (ops.length === 0) return;
    const host = this.#host;
    const now = host.settings.clock.now();
    for (const op of ops) {
      op.status = "running";
      op.startedAt = now;
    }
    const deadline = Math.max(
      ...ops.map((op) => op.node.descriptor!.api.deadline ?? host.settings.deadline),
    ) as Duration;
    const late = lateCommits.get(this.#group);
    if (late !== undefined) {
      const waited = await host.caller.call(
        () => `commit of ${this.#group.name} (an earlier one still runs; it)`,
        host.txn,
        deadline,
        () => late,
      );
      if (waited.late !== undefined || waited.error instanceof DeadlineError) {
        for (const op of ops) host.fail(op, waited.error!);
        return;
      }
      const unsure = ops.filter((op) => op.node.unsure);
      for (const op of ops) op.status = "waiting";
      for (const op of unsure) host.supersede(op);
      if (unsure.length > 0) return this.#narrow(ops);
      for (const op of ops) op.status = "running";
    }
    const end = await host.caller.call(
      () => `commit of ${this.#group.name}`,
      host.txn,
      deadline,
      (ctx) => this.#group.commit(ops.map(groupOp), ctx),
    );
    if (end.error === undefined) {
      this.#settle(ops, end.value);
      return;
    }
    if (end.late !== undefined || end.error instanceof DeadlineError || ops.length === 1 || host.atomic) {
      if (end.late !== undefined) this.#late(ops, end.late);
      for (const op of ops) host.fail(op, end.error);
      return;
    }
    for (const op of ops) op.status = "waiting";
    const half = ops.length >>> 1;
    await this.#narrow(ops.slice(0, half));
    await this.#narrow(ops.slice(half));
  }

  #late(ops: readonly Op[], end: Promise<unknown>): void {
    const group = this.#group;
    const over = end.then(
      () => undefined,
      () => undefined,
    );
    lateCommits.set(group, over);
    void over.then(() => lateCommits.get(group) === over && lateCommits.delete(group)); // never rejects
    this.#host.lateUntil(
      ops.map((op) => op.node),
      end,
    );
  }

  #settle(ops: readonly Op[], value: unknown): void {
    const host = this.#host;
    if (value === undefined) {
      for (const op of ops) host.succeed(op, op.kind === "update" ? op.node.metadata : undefined);
      return;
    }
    const results = value as readonly GroupOpResult[];
    if (!Array.isArray(results) || results.length !== ops.length) {
      const error = new HeddleError(
        "BAD_RESULT",
        `group ${this.#group.name} answered ${ops.length} operations wrongly`,
      );
      for (const op of ops) host.fail(op, error);
      return;
    }
    for (const [i, op] of ops.entries()) {
      const r = results[i]!;
      if (r.ok) host.succeed(op, r.metadata);
      else host.fail(op, toError(r.error));
    }
  }
}

function groupOp(op: Op): GroupOp {
  const descriptor = op.node.descriptor!.name;
  const { kind, node, value, oldValue } = op;
  if (kind === "create") return { kind, descriptor, key: node.key, value };
  if (kind === "delete") return { kind, descriptor, key: node.key, value, metadata: node.metadata };
  return { kind, descriptor, key: node.key, value, oldValue, metadata: node.metadata };
}
