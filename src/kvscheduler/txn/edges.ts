import type { Graph } from "../graph/graph.ts";
import type { Dep, Node } from "../graph/node.ts";
import { addEdge, type Hold, type Op, physical } from "./op.ts";
import { due, type Steps } from "./turn.ts";

/**
 * Says what each operation has to wait for:
 * - a removal for the removals of everything that depends on it or is derived from it;
 * - a making for the removal of the same key, and for the makings of everything that it needs.
 *
 * Nothing that is removed ever waits for something that is made, so all removals can come first.
 */
export function* connect(graph: Graph, ops: readonly Op[], isGone: (n: Node) => boolean): Steps<void> {
  let judged: Judged | undefined;
  for (const op of ops) {
    if (due()) yield;
    if (op.kind !== "delete" || op.noop) continue;
    judged ??= { ops: new Set(), after: new Map() };
    carry(graph, op, isGone, judged);
  }
  for (const op of ops) {
    if (due()) yield;
    if (op.noop) continue;
    if (op.kind === "delete") connectRemoval(graph, op, isGone);
    else connectMaking(graph, op, isGone);
  }
}

interface Judged {
  /** Removals for which it is known, or is being found out, whether they are carried. */
  readonly ops: Set<Op>;
  /** By carrier: the removals that have to come after it because of what it carries. */
  readonly after: Map<Op, Set<Op>>;
}

/**
 * Finds the removal that takes `op` along. Only if nothing else that goes needs `op` to be away before: its own removal
 * could not be placed in between.
 */
function carry(graph: Graph, op: Op, isGone: (n: Node) => boolean, judged: Judged): void {
  const deps = op.node.actualDeps;
  if (!deps.deps.some((d) => d.carries) || judged.ops.has(op)) return;
  judged.ops.add(op);
  const targets: Op[] = [];
  const carriers: Op[] = [];
  /** Those that must not go before; of a base alone the southbound knows nothing. */
  const needed: Op[] = [];
  const consider = (t: Node | undefined, relation: "base" | "needs" | "carries"): void => {
    const removal = t?.removal;
    if (removal === undefined || removal === op) return;
    carry(graph, removal, isGone, judged);
    if (physical(removal) === op) return; // carried by this one
    targets.push(removal);
    if (relation === "carries") carriers.push(removal);
    else if (relation === "needs") needed.push(removal);
  };
  if (deps.base !== undefined) consider(deps.base, "base");
  for (const dep of deps.deps) {
    if (dep.target !== undefined) consider(dep.target, dep.carries ? "carries" : "needs");
    else forGone(graph, dep, isGone, (n) => consider(n, "needs"));
  }
  op.carriedBy = carriers.find((carrier) => {
    const root = physical(carrier);
    // What takes everything along does not take what must be away before it.
    if (needed.includes(root) && !carriers.includes(root)) return false;
    const others = targets.filter((t) => physical(t) !== root);
    if (!others.every((t) => isFree(graph, t, isGone) && !comesBefore(judged, t, root))) return false;
    let after = judged.after.get(root);
    if (after === undefined) judged.after.set(root, (after = new Set()));
    for (const t of others) after.add(t);
    return true;
  });
}

/** Whether `b` has to come after `a` because of what carriers take along. */
function comesBefore(judged: Judged, a: Op, b: Op): boolean {
  if (a === b) return true;
  for (const next of judged.after.get(a) ?? []) if (comesBefore(judged, next, b)) return true;
  return false;
}

/** Whether the removal is free to come last: its node needs nothing that goes. */
function isFree(graph: Graph, op: Op, isGone: (n: Node) => boolean): boolean {
  const { base, deps } = op.node.actualDeps;
  if (base !== undefined && isGone(base)) return false;
  for (const dep of deps) {
    if (dep.target !== undefined) {
      if (isGone(dep.target)) return false;
    } else {
      let some = false;
      forGone(graph, dep, isGone, () => (some = true));
      if (some) return false;
    }
  }
  return true;
}

function connectRemoval(graph: Graph, op: Op, isGone: (n: Node) => boolean): void {
  const root = physical(op);
  // What is carried happens with its carrier and is accounted for right after it.
  if (op.carriedBy !== undefined) addEdge(op.carriedBy, op, true, "firm");
  const before = (t: Node | undefined, hold: Hold): void => {
    const removal = t?.removal;
    if (removal === undefined) return;
    const target = physical(removal);
    if (target !== root) addEdge(op, target, true, hold);
  };
  const { base, deps } = op.node.actualDeps;
  before(base, "firm");
  for (const dep of deps) {
    if (dep.target !== undefined) before(dep.target, dep.carries ? "tight" : "loose");
    else forGone(graph, dep, isGone, (n) => before(n, "loose"));
  }
  // What is derived no longer goes before its base changes; if it cannot go, that is no reason not to change the base.
  const making = base?.making;
  if (making?.kind === "update") addEdge(op, making, false, "firm");
}

function connectMaking(graph: Graph, op: Op, isGone: (n: Node) => boolean): void {
  const n = op.node;
  if (n.removal !== undefined) addEdge(n.removal, op, true, "firm");
  const { base, deps } = op.deps;
  if (base?.making !== undefined) addEdge(base.making, op, true, "firm");
  for (const dep of deps) {
    if (dep.target !== undefined) {
      const making = dep.target.making;
      if (making === undefined || making === op) continue;
      addEdge(making, op, making.kind === "create", "loose");
      // In a circle the edge above may be given up; what was there before has to go first in any case.
      if (dep.target.removal !== undefined) addEdge(dep.target.removal, op, false, "firm");
    } else {
      const making = firstMaking(graph, dep, isGone);
      if (making !== undefined && making !== op) addEdge(making, op, true, "loose");
    }
  }
}

/** What an any-of dependency has to wait for: nothing if something that stays satisfies it. */
function firstMaking(graph: Graph, dep: Dep, isGone: (n: Node) => boolean): Op | undefined {
  let making: Op | undefined;
  graph.someOf(dep.anyOf!, (n) => {
    if (!n.goal) return false;
    if (n.present && !isGone(n)) {
      making = undefined;
      return true;
    }
    making ??= n.making;
    return false;
  });
  return making;
}

function forGone(graph: Graph, dep: Dep, isGone: (n: Node) => boolean, visit: (n: Node) => void): void {
  graph.someOf(dep.anyOf!, (n) => {
    if (n.removal !== undefined && isGone(n)) visit(n);
    return false;
  });
}
