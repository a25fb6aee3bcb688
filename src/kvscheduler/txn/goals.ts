import type { Graph } from "../graph/graph.ts";
import { type Dep, isProperty, type Node } from "../graph/node.ts";
import type { Staging } from "./staging.ts";
import { due, type Steps } from "./turn.ts";

/** What follows is done without a break; so many need some milliseconds. */
const LONG = 1000;

let round = 0;

/**
 * Settles which nodes are to be in place (`goal`) after the dirty ones have changed.
 *
 * The goal is the greatest set in which every node is wanted and has everything it needs in the set: so values that need
 * each other in a circle are in place together or not at all. It is kept up to date incrementally: whatever could come in
 * is assumed to be in, then everything that lacks something is taken out again. Only the changed nodes and what depends
 * on them (transitively, as far as the change goes) are looked at.
 *
 * @returns the nodes whose goal has changed
 */
export function* settleGoals(staging: Staging, dirty: readonly Node[]): Steps<Node[]> {
  const graph = staging.graph;
  const now = ++round;
  const raised: Node[] = [];
  const lowered: Node[] = [];
  const check: Node[] = [];
  const enqueue = (n: Node): void => {
    if (n.queued === now) return;
    n.queued = now;
    check.push(n);
  };
  const raise = (n: Node): void => {
    if (n.goal || n.tentative === now || !couldBe(n, staging.seq)) return;
    n.tentative = now;
    raised.push(n);
    enqueue(n);
  };
  const lower = (n: Node): void => {
    if (n.tentative === now) n.tentative = 0;
    else if (n.goal) {
      staging.touch(n);
      n.goal = false;
      lowered.push(n);
    } else return;
    graph.forEachDependent(n, enqueue);
  };

  for (const n of dirty) {
    if (due()) yield;
    if (couldBe(n, staging.seq)) {
      raise(n);
      enqueue(n);
    } else {
      lower(n);
    }
  }
  // Both lists grow while they are walked.
  for (let i = 0; i < raised.length; i++) {
    if (due()) yield;
    graph.forEachDependent(raised[i]!, raise);
  }

  const isGoal = (n: Node): boolean => n.goal || n.tentative === now;
  for (let i = 0; i < check.length; i++) {
    if (due()) yield;
    const n = check[i]!;
    n.queued = 0; // may be enqueued again when something else that it needs goes
    if (isGoal(n) && !(couldBe(n, staging.seq) && isSatisfied(graph, n, isGoal))) lower(n);
  }

  const kept = raised.length === 0 ? raised : raised.filter((n) => n.tentative === now);
  // All of them before the first changes: the state of one depends on another's.
  for (const n of kept) {
    if (due()) yield;
    staging.touch(n);
  }
  if (kept.length > LONG) yield;
  for (const n of kept) {
    n.goal = true;
    const trouble = n.trouble;
    if (trouble?.kind === "failed" && trouble.seq !== staging.seq && (!n.present || trouble.op === "delete")) {
      // What could not be removed was taken for the aim.
      if (n.present) staging.resolve(n);
      else n.trouble = undefined;
    }
  }
  if (lowered.length === 0) return kept;
  for (const n of kept) lowered.push(n);
  return lowered;
}

/** Whether the node itself may be in place; what it needs is another question. */
function couldBe(n: Node, seq: number): boolean {
  if (n.eff === undefined) return false;
  if (n.descriptor === undefined && !isProperty(n)) return false;
  const trouble = n.trouble;
  // A value that could not be created does not count; one that could not be changed does. Outside of its transaction
  // a failed node gets another chance when what it needs comes (back).
  return trouble === undefined || n.present || trouble.kind === "invalid" || trouble.seq !== seq;
}

function isSatisfied(graph: Graph, n: Node, isGoal: (n: Node) => boolean): boolean {
  if (n.southbound || n.discovered) return true;
  const { base, deps } = n.deps;
  const test = n.present ? isGoal : (needed: Node): boolean => isGoal(needed) && !isLeaving(needed);
  if (base !== undefined && !test(base)) return false;
  for (const dep of deps) if (!isMet(graph, dep, test)) return false;
  return true;
}

/** Its removal has outlived its deadline and may take effect any time: nothing new is built on it. */
const isLeaving = (n: Node): boolean => n.late && n.trouble?.op === "delete";

export function isMet(graph: Graph, dep: Dep, test: (n: Node) => boolean): boolean {
  if (dep.target !== undefined) return test(dep.target);
  return dep.anyOf !== undefined && graph.someOf(dep.anyOf, test);
}
