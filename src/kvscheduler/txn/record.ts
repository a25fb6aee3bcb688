import { fullMessage } from "../../base/errors/errors.ts";
import type { Key } from "../api/descriptor.ts";
import type { StorableTxn } from "../api/history.ts";
import type { RecordedOp, RecordedTxn } from "../api/record.ts";
import { type Node, stateOf } from "../graph/node.ts";
import type { Op } from "./op.ts";
import { due, type Steps } from "./turn.ts";

/** What an operation costs the history beside its value, in bytes: the object and its place in two lists. */
const OP_BYTES = 200;

/** What is known of a transaction before it starts. */
interface RecordInit extends Pick<RecordedTxn, "kind" | "source" | "mode" | "queuedAt"> {
  readonly description?: string | undefined;
  readonly resync?: RecordedTxn["resync"] | undefined;
  readonly dryRun?: boolean;
}

/** A transaction for the history. Text is made when somebody reads it. */
export class TxnRecord implements StorableTxn {
  readonly seq: number;
  readonly kind: RecordedTxn["kind"];
  readonly source: string;
  declare readonly description?: string;
  declare readonly resync?: "full" | "upstream" | "downstream";
  readonly mode: "best-effort" | "atomic";
  declare readonly dryRun?: boolean;
  readonly queuedAt: number;
  readonly startedAt: number;
  endedAt = 0;
  /** Descriptors that could not be read in a resync. */
  declare unread?: readonly string[];
  declare suspended?: readonly string[];
  declare nodesVisited?: number;
  /** Operations that are left out because the record alone would exceed the history's bound. */
  declare omitted?: number;
  #planned: readonly Op[] = [];
  #executed: readonly Op[] = [];
  #bytes = 0;

  constructor(init: RecordInit, seq: number, startedAt: number) {
    this.seq = seq;
    this.kind = init.kind;
    this.source = init.source;
    if (init.description !== undefined) this.description = init.description;
    if (init.resync !== undefined) this.resync = init.resync;
    this.mode = init.mode;
    if (init.dryRun === true) this.dryRun = true;
    this.queuedAt = init.queuedAt;
    this.startedAt = startedAt;
  }

  get planned(): readonly RecordedOp[] {
    return this.#planned.map(plannedOp);
  }

  get executed(): readonly RecordedOp[] {
    return this.#executed.map(executedOp);
  }

  /** Operations in the longer one of the two lists. */
  get length(): number {
    return Math.max(this.#planned.length, this.#executed.length);
  }

  slice(list: "planned" | "executed", from: number, to: number): readonly RecordedOp[] {
    return list === "planned"
      ? this.#planned.slice(from, to).map(plannedOp)
      : this.#executed.slice(from, to).map(executedOp);
  }

  /** The operations on one key that were carried out, or skipped. */
  executedOn(key: Key): RecordedOp[] {
    return this.#executed.filter((op) => op.node.key === key).map(executedOp);
  }

  /** The operations on one key that were planned and never came to their turn. */
  droppedOn(key: Key): RecordedOp[] {
    return this.#planned.filter((op) => op.node.key === key && op.status === "waiting").map(plannedOp);
  }

  /** Estimate of what the record keeps alive. */
  get bytes(): number {
    return this.#bytes;
  }

  setPlanned(ops: readonly Op[]): void {
    this.#planned = ops;
  }

  get plannedOps(): readonly Op[] {
    return this.#planned;
  }

  /** Ends the record: what only the execution needed is let go. */
  *end(ops: readonly Op[], endedAt: number): Steps<void> {
    this.endedAt = endedAt;
    this.#executed = ops;
    for (const op of this.#planned) {
      if (due()) yield;
      op.settle();
    }
    let bytes = 500;
    const counted = ops.length >= this.#planned.length ? ops : this.#planned;
    for (const op of ops) {
      if (due()) yield;
      op.settle();
      op.outcome ??= stateOf(op.node);
    }
    for (const op of counted) {
      if (due()) yield;
      bytes += OP_BYTES + 2 * op.node.key.length + sizeOf(op.value, 3) + sizeOf(op.oldValue, 3);
    }
    this.#bytes = bytes;
  }

  /** A copy with the first `max` operations of each list. */
  shortened(max: number): TxnRecord {
    const copy = new TxnRecord(this, this.seq, this.startedAt);
    copy.endedAt = this.endedAt;
    if (this.unread !== undefined) copy.unread = this.unread;
    if (this.suspended !== undefined) copy.suspended = this.suspended;
    if (this.nodesVisited !== undefined) copy.nodesVisited = this.nodesVisited;
    copy.#planned = this.#planned.slice(0, max);
    copy.#executed = this.#executed.slice(0, max);
    copy.#bytes = Math.ceil((this.#bytes * max) / Math.max(this.length, 1));
    copy.omitted = this.length - max;
    return copy;
  }

  /** The record as plain data. */
  toJSON(): RecordedTxn {
    return {
      ...Object.fromEntries(Object.entries(this)),
      planned: this.planned,
      executed: this.executed,
    } as RecordedTxn;
  }
}

/** Rough size of a value: it is counted for every operation, so it must not cost more than the operation's own record. */
function sizeOf(value: unknown, depth: number): number {
  if (typeof value === "string") return 16 + value.length;
  if (typeof value !== "object" || value === null) return 8;
  if (ArrayBuffer.isView(value)) return 64 + value.byteLength;
  if (depth === 0) return 64;
  let size = 16;
  if (Array.isArray(value)) {
    const shown = Math.min(value.length, 8);
    for (let i = 0; i < shown; i++) size += sizeOf(value[i], depth - 1);
    return shown === 0 ? size : Math.ceil((size * value.length) / shown);
  }
  for (const k in value) size += 8 + sizeOf((value as Record<string, unknown>)[k], depth - 1);
  return size;
}

function plannedOp(op: Op): RecordedOp {
  return base(op, op.after, op.carriedBy !== undefined, op.noop);
}

function executedOp(op: Op): RecordedOp {
  const skipped = op.status === "skipped" || op.unsent;
  const recorded = base(op, op.outcome ?? op.after, op.carriedBy !== undefined && !skipped, op.noop || skipped);
  return {
    ...recorded,
    ...(op.error !== undefined && { error: fullMessage(op.error) }),
    ...(op.ms >= 0 && { ms: op.ms }),
  };
}

function base(op: Op, stateAfter: RecordedOp["stateAfter"], carried: boolean, noop: boolean): RecordedOp {
  const descriptor = op.node.descriptor?.name;
  return {
    op: op.kind,
    key: op.node.key,
    ...(descriptor !== undefined && { descriptor }),
    ...(op.derived && { derived: true }),
    stateBefore: op.before,
    stateAfter,
    ...(op.recreate && { recreate: true }),
    ...(op.revert && { revert: true }),
    ...(carried && { carried: true }),
    ...(noop && { noop: true }),
    ...(op.value !== undefined && { value: describe(op.node, op.value) }),
    ...(op.oldValue !== undefined && { oldValue: describe(op.node, op.oldValue) }),
  };
}

/** Longest text of a value in a record. */
const MAX_TEXT = 1000;

/** Text of a value of `n`; what the descriptor's `describe` does wrong is part of the text. */
export function describe(n: Node, value: unknown): string {
  let text: string;
  try {
    const said: unknown = n.descriptor?.api.describe?.(n.key, value) ?? jsonOf(value);
    text = String(said);
  } catch (e) {
    text = `(cannot be described: ${fullMessage(e)})`;
  }
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}

function jsonOf(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => (typeof v === "bigint" ? v.toString() : v)) ?? String(value);
}
