import type { Duration } from "../../base/clock/clock.ts";
import { toError } from "../../base/errors/errors.ts";
import type { CommitGroup, GroupOp, GroupOpResult } from "../api/descriptor.ts";
import { LateError, MisbehaviourError } from "../api/errors.ts";
import type { BatchHost } from "./batch.ts";
import type { CallEnd } from "./call.ts";
import type { Op } from "./op.ts";

/** A commit that hangs holds up everything of its group, so it counts for as many calls as suspend a descriptor. */
const COMMIT_WEIGHT = 3;
/** Of a commit's deadline, for each thousand of operations. Whole thousands: there are not to be many lengths of deadlines. */
const MORE_MS = 1000;

/** Carries out the operations of one batch: in one commit if the group allows and nothing goes wrong. */
export class CommitRun {
  readonly #group: CommitGroup;
  readonly #host: BatchHost;
  /** Whether the running stretch of our code is one that began here. */
  #inside = false;

  constructor(group: CommitGroup, host: BatchHost) {
    this.#group = group;
    this.#host = host;
  }

  /** @param before the group's commit before this one */
  async start(ops: readonly Op[], before: Promise<unknown> | undefined): Promise<void> {
    if (before !== undefined) await this.#away(before);
    const max = this.#group.maxOps ?? ops.length;
    for (let i = 0; i < ops.length; i += max) {
      await this.#narrow(ops.slice(i, i + max));
      this.#host.proceed();
    }
  }

  /** The stretch of code that began here is over. */
  leave(): void {
    if (this.#inside) this.#host.settings.turn.leave();
    this.#inside = false;
  }

  async #away<T>(promise: Promise<T>): Promise<T> {
    this.leave();
    try {
      return await promise;
    } finally {
      this.#host.settings.turn.enter();
      this.#inside = true;
    }
  }

  async #breathe(): Promise<void> {
    await this.#away(new Promise<void>((resolve) => setImmediate(resolve)));
  }

  /** Commits; if the commit is refused, its halves, down to the operations that are guilty. */
  async #narrow(all: readonly Op[]): Promise<void> {
    const ops = this.#allowed(all);
    if (ops.length === 0) return;
    const { caller, settings, txn, atomic } = this.#host;
    const now = settings.clock.now();
    let deadline = 0;
    for (const op of ops) {
      op.status = "running";
      op.startedAt = now;
      deadline = Math.max(deadline, op.node.descriptor!.api.deadline ?? settings.deadline);
    }
    deadline += MORE_MS * Math.floor(ops.length / 1000);
    const end = await this.#away(
      caller.call(
        () => `commit of ${this.#group.name}`,
        txn,
        deadline as Duration,
        (ctx) => this.#group.commit(ops.map(groupOp), ctx),
      ),
    );
    this.#judge(ops, end, settings.clock.now() - now);
    if (end.error === undefined) {
      await this.#settle(ops, end.value);
      return;
    }
    if (end.late !== undefined || ops.length === 1 || atomic) {
      for (const op of ops) this.#host.fail(op, end.error);
      return;
    }
    for (const op of ops) op.status = "waiting";
    const half = ops.length >>> 1;
    await this.#narrow(ops.slice(0, half));
    await this.#narrow(ops.slice(half));
  }

  /** Those that may be sent; the others end here. */
  #allowed(all: readonly Op[]): Op[] {
    const ops: Op[] = [];
    for (const op of all) {
      if (op.status !== "waiting") continue;
      const held = op.node.late ? new LateError(op.node.key) : this.#host.settings.suspensions.of(op.node.descriptor!);
      if (held === undefined) ops.push(op);
      else this.#host.refuse(op, held);
    }
    // What was refused may have skipped what came before it in the list's order of keys.
    return ops.filter((op) => op.status === "waiting");
  }

  #judge(ops: readonly Op[], end: CallEnd, ms: number): void {
    const { counters, suspensions } = this.#host.settings;
    const outcome = end.error === undefined ? "ok" : end.late === undefined ? "failed" : "late";
    counters.call(this.#group.name, "commit", ms, outcome);
    const entry = ops[0]!.node.descriptor!;
    if (end.late === undefined) {
      suspensions.answered(entry);
      return;
    }
    suspensions.expired(entry, COMMIT_WEIGHT);
    this.#host.lateUntil(ops, end.late);
  }

  async #settle(ops: readonly Op[], value: unknown): Promise<void> {
    const host = this.#host;
    const { turn } = host.settings;
    const results = value as readonly GroupOpResult[] | undefined;
    if (results !== undefined && (!Array.isArray(results) || results.length !== ops.length)) {
      const error = new MisbehaviourError(ops[0]!.node.descriptor!.name, `answered ${ops.length} operations wrongly`);
      for (const op of ops) host.fail(op, error);
      return;
    }
    for (const [i, op] of ops.entries()) {
      const r: unknown = results === undefined ? undefined : results[i];
      if (results === undefined) host.succeed(op, op.kind === "update" ? op.node.metadata : undefined);
      else if (isSuccess(r)) host.succeed(op, r.metadata);
      else host.fail(op, errorOf(r, op));
      if (turn.isOver()) await this.#breathe();
    }
  }
}

function isSuccess(result: unknown): result is { ok: true; metadata?: unknown } {
  return (result as { ok?: unknown } | undefined)?.ok === true;
}

function errorOf(result: unknown, op: Op): Error {
  const error = (result as { error?: unknown } | undefined)?.error;
  if (error !== undefined) return toError(error);
  return new MisbehaviourError(op.node.descriptor!.name, `did not say what became of ${op.node.key}`);
}

function groupOp(op: Op): GroupOp {
  const descriptor = op.node.descriptor!.name;
  const { kind, node, value, oldValue } = op;
  if (kind === "create") return { kind, descriptor, key: node.key, value };
  if (kind === "delete") return { kind, descriptor, key: node.key, value, metadata: node.metadata };
  return { kind, descriptor, key: node.key, value, oldValue, metadata: node.metadata };
}
