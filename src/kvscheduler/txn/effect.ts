import type { Graph } from "../graph/graph.ts";
import { type DepList, NO_DEPS, type Node } from "../graph/node.ts";
import type { Op } from "./op.ts";

/** What is in the southbound after `op` has succeeded in transaction `txn`. `deps`: those of the value that was made. */
export function takeEffect(graph: Graph, op: Op, metadata: unknown, txn: number, deps: DepList = op.deps): void {
  if (op.noop) return;
  const n = op.node;
  n.lastOp = op.kind;
  n.txn = txn;
  n.unsure = false;
  if (op.kind === "delete") {
    n.present = false;
    n.actual = undefined;
    n.metadata = undefined;
    graph.setActualDeps(n, NO_DEPS);
    graph.mayBeIdle(n);
    return;
  }
  n.present = true;
  n.actual = op.value;
  n.metadata = metadata;
  n.southbound = false;
  n.discovered = false;
  n.missing = false;
  n.attempts = 0;
  graph.setActualDeps(n, deps);
}

/** A key of a call that ended after its deadline. */
export interface LateKey {
  readonly node: Node;
  /** Takes note of the effect, if the call said that it succeeded and what it did is known. */
  readonly landed: (() => void) | undefined;
}

/**
 * The operations have outlived their deadline and may still take effect, each on its own key and on what it carries.
 * @param onEnd called with all of these keys when the call has ended
 */
export function whenLate(
  graph: Graph,
  ops: readonly Op[],
  end: Promise<unknown>,
  txn: number,
  onEnd: (keys: readonly LateKey[]) => void,
): void {
  const single = ops.length === 1 && ops[0]!.batch === undefined ? ops[0] : undefined;
  const all = new Map<Node, Op>();
  for (const op of ops) addCarried(op, all);
  const effects: ((value: unknown) => LateKey)[] = [];
  for (const [node, op] of all) {
    node.late = true;
    node.unsure = true;
    const { deps } = op; // gone from the operation when it ends: its transaction may be over long before
    effects.push((value) => {
      const landed = (): void => takeEffect(graph, op, op === single ? value : undefined, txn, deps);
      return { node, landed: single === undefined ? undefined : landed };
    });
  }
  end.then(
    (value) => onEnd(effects.map((effect) => effect(value))),
    () => onEnd([...all.keys()].map((node) => ({ node, landed: undefined }))),
  );
}

/** What an operation may still change: its own key, and what it carries. */
function addCarried(op: Op, all: Map<Node, Op>): void {
  all.set(op.node, op);
  for (const { to } of op.outs ?? []) if (to.carriedBy === op) addCarried(to, all);
}
