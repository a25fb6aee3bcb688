import type { Key } from "../api/descriptor.ts";
import type { UnmetDependency, ValueStatus } from "../api/status.ts";
import type { Graph } from "../graph/graph.ts";
import { type Node, stateOf } from "../graph/node.ts";
import { isMet } from "./goals.ts";

/** Deeper derivations are cut off in a status; a circle of them would have no end. */
const MAX_DEPTH = 8;

export function statusOf(graph: Graph, n: Node, depth = 0): ValueStatus {
  const state = stateOf(n);
  return {
    key: n.key,
    state,
    ...(n.descriptor !== undefined && { descriptor: n.descriptor.name }),
    ...(n.trouble !== undefined && { error: n.trouble.error }),
    ...(state === "PENDING" && { unmet: unmetOf(graph, n) }),
    ...(n.lastOp !== undefined && { lastOp: n.lastOp }),
    ...(n.txn > 0 && { txn: n.txn }),
    derived: depth >= MAX_DEPTH ? [] : n.derived.map((d) => statusOf(graph, d, depth + 1)),
  };
}

/** Which dependencies are not met, and what would meet them. */
export function unmetOf(graph: Graph, n: Node): UnmetDependency[] {
  const unmet: UnmetDependency[] = [];
  for (const dep of n.deps.deps) {
    if (isMet(graph, dep, (t) => t.goal)) continue;
    const wants: readonly Key[] = dep.target === undefined ? dep.anyOf!.prefixes : [dep.target.key];
    unmet.push({ label: dep.label, wants, since: dep.since });
  }
  return unmet;
}
