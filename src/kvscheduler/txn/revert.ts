import { type DepList, NO_DEPS, type Node } from "../graph/node.ts";
import { addEdge, Op } from "./op.ts";

/** How a node was before a transaction, in the southbound. */
export interface Before {
  readonly present: boolean;
  readonly actual: unknown;
  readonly deps: Node["actualDeps"];
}

/**
 * The operations that undo what an atomic transaction has done: the last one first, one after another.
 * @param executed in the order of their ends
 */
export function undoing(executed: readonly Op[]): Op[] {
  const carried = new Map<Op, Op[]>();
  for (const op of executed) {
    if (op.status !== "done" || op.carriedBy === undefined) continue;
    const list = carried.get(op.carriedBy);
    if (list === undefined) carried.set(op.carriedBy, [op]);
    else list.push(op);
  }
  const forward: Op[] = [];
  // What was carried away counts as gone before its carrier, so that it comes back after it.
  const emit = (op: Op): void => {
    for (const c of dependentsFirst(withAll(carried, op))) forward.push(c);
    forward.push(op);
  };
  for (const op of executed) {
    if (op.noop || (op.status === "done" && op.carriedBy !== undefined)) continue;
    if (op.status === "done" || op.status === "failed") emit(op);
  }
  const undo: Op[] = [];
  const removed = new Map<Node, Op>();
  const made = new Map<Node, Op>();
  const notRemoved = new Set<Node>();
  for (const op of executed) {
    if (op.kind === "delete" && op.status !== "done" && op.node.present) notRemoved.add(op.node);
  }
  // Skipped at first, and carried out in a later plan of the same transaction.
  for (const op of executed) if (op.kind === "delete" && op.status === "done") notRemoved.delete(op.node);
  for (const op of forward.reverse()) {
    if (op.kind === "create" && notRemoved.has(op.node)) continue; // never away
    for (const u of inverse(op, removed)) {
      u.revert = true;
      u.derived = op.derived;
      u.before = op.after;
      u.after = op.before;
      if (u.kind === "delete") u.carriedBy = carrierOf(u.node, removed);
      const previous = undo.at(-1);
      if (previous !== undefined) addEdge(previous, u, false, "firm");
      // What cannot be made again is lacking to what needs it.
      for (const needed of targetsOf(u.deps)) {
        const making = made.get(needed);
        if (making !== undefined) addEdge(making, u, true, "firm");
      }
      u.index = undo.length;
      undo.push(u);
      if (u.kind === "delete") removed.set(u.node, u);
      else made.set(u.node, u);
    }
  }
  return undo;
}

/** What goes along with `op`, in the end. */
function withAll(carried: ReadonlyMap<Op, readonly Op[]>, op: Op): Op[] {
  const all: Op[] = [];
  const add = (o: Op): void => {
    for (const c of carried.get(o) ?? []) {
      all.push(c);
      add(c);
    }
  };
  add(op);
  return all;
}

/** What was carried away together has no order of its own: what needed another one counts as gone before it. */
function dependentsFirst(ops: readonly Op[]): Op[] {
  const byNode = new Map(ops.map((op) => [op.node, op]));
  const dependents = new Map<Op, Op[]>();
  for (const op of ops) {
    for (const target of targetsOf(op.oldDeps)) {
      const needed = byNode.get(target);
      if (needed === undefined || needed === op) continue;
      const list = dependents.get(needed);
      if (list === undefined) dependents.set(needed, [op]);
      else list.push(op);
    }
  }
  const order = new Set<Op>();
  const seen = new Set<Op>();
  const visit = (op: Op): void => {
    if (seen.has(op)) return;
    seen.add(op);
    for (const d of dependents.get(op) ?? []) visit(d);
    order.add(op);
  };
  for (const op of ops) visit(op);
  return [...order];
}

/** In a circle, what carries a value may be undone before the value itself. */
function carrierOf(n: Node, removed: ReadonlyMap<Node, Op>): Op | undefined {
  for (const dep of n.actualDeps.deps) {
    const carrier = dep.carries && dep.target !== undefined ? removed.get(dep.target) : undefined;
    if (carrier !== undefined) return carrier;
  }
  return undefined;
}

/** A failed operation may have had its effect all the same: the node says what is there now. */
function inverse(op: Op, removed: ReadonlyMap<Node, Op>): Op[] {
  const n = op.node;
  const failed = op.status === "failed";
  if (op.kind === "create") {
    if (failed && !n.present) return [];
    return [new Op("delete", n, op.value, undefined, NO_DEPS)];
  }
  if (op.kind === "delete") {
    if (failed && n.present) return [];
    return [new Op("create", n, op.value, undefined, op.oldDeps)];
  }
  if (failed && n.present && n.actual === op.oldValue) return [];
  const updates =
    n.descriptor === undefined || n.descriptor.api.update !== undefined || n.descriptor.group !== undefined;
  if (!updates || carrierOf(n, removed) !== undefined) {
    return [new Op("delete", n, op.value, undefined, NO_DEPS), new Op("create", n, op.oldValue, undefined, op.oldDeps)];
  }
  return [new Op("update", n, op.oldValue, op.value, op.oldDeps)];
}

/** The base and the keys that are needed. */
function targetsOf({ base, deps }: DepList): Node[] {
  const targets = deps.map((dep) => dep.target).filter((t) => t !== undefined);
  return base === undefined ? targets : [base, ...targets];
}
