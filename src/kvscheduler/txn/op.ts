import type { ValueState } from "../api/status.ts";
import { type DepList, NO_DEPS, type Node } from "../graph/node.ts";

export type OpKind = "create" | "update" | "delete";

/**
 * - `waiting`: something it depends on is not finished, or no slot is free
 * - `running`: sent
 * - `done`, `failed`: answered
 * - `skipped`: never sent, because something it depends on failed, or the transaction stopped
 */
export type OpStatus = "waiting" | "running" | "done" | "failed" | "skipped";

/** `to` starts only after `from`. */
export interface Edge {
  readonly from: Op;
  readonly to: Op;
  /** Whether `to` is skipped when `from` fails. */
  readonly hard: boolean;
  readonly hold: Hold;
}

/**
 * How firmly an edge holds when dependencies form a circle: `loose` ones are given up first; `tight` ones only if there
 * is no other way (a value that its target carries must be removed before it, or not at all); `firm` ones never (the
 * same key, or what is derived and its base).
 */
export type Hold = "loose" | "tight" | "firm";

/** One operation of a plan: first data of the plan, later of its execution. */
export class Op {
  readonly kind: OpKind;
  node: Node;
  /** What is brought about; for a removal what goes. */
  readonly value: unknown;
  readonly oldValue: unknown;
  /** Dependencies of `value`, in force once it is in place. */
  deps: DepList;
  recreate = false;
  revert = false;
  /** The removal that takes this one along. */
  carriedBy: Op | undefined = undefined;
  /** Only a state changes; nothing is to be sent. */
  noop = false;
  derived = false;
  /** It failed without having been sent. */
  unsent = false;

  before: ValueState = "NONEXISTENT";
  after: ValueState = "NONEXISTENT";
  status: OpStatus = "waiting";
  /** State after execution. */
  outcome: ValueState | undefined = undefined;
  error: Error | undefined = undefined;
  startedAt = 0;
  ms = -1;

  /** Edges to this operation; moved to `outs` of the others when the plan is complete. */
  ins: Edge[] | undefined = undefined;
  outs: Edge[] | undefined = undefined;
  /** Unfinished operations that this one waits for. */
  waits = 0;
  /** Position in the plan. */
  index = -1;
  visit: 0 | 1 | 2 = 0;
  /** The commit that this operation is part of, and whether nothing outside of it is waited for any more. */
  batch: unknown = undefined;
  inReach = false;
  /** Dependencies of what was in place before, for the undoing. */
  oldDeps: DepList = NO_DEPS;
  /** For each commit group of the plan: how many of its commits must have ended before. */
  levels: number[] | undefined = undefined;

  constructor(kind: OpKind, node: Node, value: unknown, oldValue: unknown, deps: DepList) {
    this.kind = kind;
    this.node = node;
    this.value = value;
    this.oldValue = oldValue;
    this.deps = deps;
  }

  /** Ends its part in the execution: it is only part of a record from now on, and keeps nothing else alive. */
  settle(): void {
    this.ins = undefined;
    this.outs = undefined;
    this.batch = undefined;
    this.levels = undefined;
    this.deps = NO_DEPS;
    this.oldDeps = NO_DEPS;
  }

  /** Whether nothing has to be called: a mere change of state, a property, a carried removal. */
  get silent(): boolean {
    return this.noop || this.carriedBy !== undefined || this.node.descriptor === undefined;
  }
}

export function addEdge(from: Op, to: Op, hard: boolean, hold: Hold): void {
  const edge = { from, to, hard, hold };
  // An empty array would make room for seventeen when the first is pushed; most operations have one edge.
  if (to.ins === undefined) to.ins = [edge];
  else to.ins.push(edge);
}

/** Operations for the same key come in this order, and plans are sorted by it first. */
export function rank(op: Op): number {
  if (op.kind === "delete") return op.recreate ? 1 : 0;
  if (op.kind === "create") return op.recreate ? 2 : 3;
  return 4;
}

/** The operation by which `op` really happens: itself, or what carries it. */
export function physical(op: Op): Op {
  let p = op;
  while (p.carriedBy !== undefined) p = p.carriedBy;
  return p;
}
