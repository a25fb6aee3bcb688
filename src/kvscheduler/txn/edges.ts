import type { AnyOfDependency } from "../api/descriptor.ts";
import type { Graph } from "../graph/graph.ts";
import type { Dep, Node } from "../graph/node.ts";
import { addEdge, type Op } from "./op.ts";

/**
 * Says what each operation has to wait for:
 * - a removal for the removals of everything that depends on it or is derived from it;
 * - a making for the removal of the same key, and for the makings of everything that it needs.
 *
 * Nothing that is removed ever waits for something that is made, so all removals can come first.
 */
export function connect(graph: Graph, ops: readonly Op[], isGone: (n: Node) => boolean): void {
  for (const op of ops) if (op.kind === "delete" && !op.noop) carry(graph, op, isGone);
  for (const op of ops) {
    if (op.noop) continue;
    if (op.kind === "delete") connectRemoval(graph, op, isGone);
    else connectMaking(graph, op, isGone);
  }
}

/** The operation by which `op` really happens. */
function physical(op: Op): Op {
  let p = op;
  while (p.carriedBy !== undefined) p = p.carriedBy;
  return p;
}

const CARRYING = Symbol("carrying");
const settled = new WeakMap<Op, typeof CARRYING | true>();

/**
 * Finds the removal that takes `op` along. Only if nothing else that goes needs `op` to be away before: its own removal
 * could not be placed in between.
 */
function carry(graph: Graph, op: Op, isGone: (n: Node) => boolean): void {
  const deps = op.node.actualDeps;
  if (!deps.deps.some((d) => d.carries) || settled.has(op)) return;
  settled.set(op, CARRYING);
  const targets: Op[] = [];
  let carrier: Op | undefined;
  const consider = (t: Node | undefined, carries: boolean): void => {
    const removal = t?.removal;
    if (removal === undefined || removal === op) return;
    if (settled.get(removal) === CARRYING) {
      targets.push(op); // a circle: nobody carries anybody
      return;
    }
    carry(graph, removal, isGone);
    targets.push(physical(removal));
    if (carries) carrier ??= removal;
  };
  if (deps.base !== undefined) consider(deps.base, false);
  for (const dep of deps.deps) {
    if (dep.target !== undefined) consider(dep.target, dep.carries);
    else forGone(graph, dep, isGone, (n) => consider(n, false));
  }
  settled.set(op, true);
  if (carrier === undefined) return;
  const root = physical(carrier);
  if (targets.every((t) => t === root)) op.carriedBy = carrier;
}

function connectRemoval(graph: Graph, op: Op, isGone: (n: Node) => boolean): void {
  if (op.carriedBy !== undefined) {
    // It happens with its carrier and is accounted for right after it.
    addEdge(op.carriedBy, op, true, false);
    return;
  }
  const before = (t: Node | undefined, loose: boolean): void => {
    const removal = t?.removal;
    if (removal !== undefined && removal !== op) addEdge(op, physical(removal), true, loose);
  };
  const { base, deps } = op.node.actualDeps;
  before(base, false);
  for (const dep of deps) {
    if (dep.target !== undefined) before(dep.target, true);
    else forGone(graph, dep, isGone, (n) => before(n, true));
  }
  // What is derived no longer goes before its base changes; if it cannot go, that is no reason not to change the base.
  const making = base?.making;
  if (making?.kind === "update") addEdge(op, making, false, false);
}

function connectMaking(graph: Graph, op: Op, isGone: (n: Node) => boolean): void {
  const n = op.node;
  if (n.removal !== undefined) addEdge(n.removal, op, true, false);
  const { base, deps } = op.deps;
  if (base?.making !== undefined) addEdge(base.making, op, true, false);
  for (const dep of deps) {
    if (dep.target !== undefined) {
      const making = dep.target.making;
      if (making !== undefined && making !== op) addEdge(making, op, making.kind === "create", true);
    } else {
      const making = firstMaking(graph, dep, isGone);
      if (making !== undefined && making !== op) addEdge(making, op, true, true);
    }
  }
}

/** What an any-of dependency has to wait for: nothing if something that stays satisfies it. */
function firstMaking(graph: Graph, dep: Dep, isGone: (n: Node) => boolean): Op | undefined {
  let making: Op | undefined;
  graph.someOf(dep.spec as AnyOfDependency, (n) => {
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
  graph.someOf(dep.spec as AnyOfDependency, (n) => {
    if (n.removal !== undefined && isGone(n)) visit(n);
    return false;
  });
}
