import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";

/** The fields of a node that say what is wanted of it. What is in the southbound is not among them. */
const FIELDS = [
  "owner",
  "nb",
  "others",
  "claims",
  "eff",
  "derived",
  "goal",
  "southbound",
  "discovered",
  "missing",
  "trouble",
  "unsure",
  "retry",
  "attempts",
  "lastOp",
  "txn",
] as const satisfies readonly (keyof Node)[];

type Saved = Pick<Node, (typeof FIELDS)[number] | "deps">;

/**
 * How the touched nodes were before a transaction, for a dry run and for an atomic transaction that fails: the cost is
 * that of what was touched, whatever the size of the graph.
 */
export class Journal {
  readonly #saved = new Map<Node, Saved>();

  save(n: Node): void {
    const saved: Record<string, unknown> = { deps: n.deps };
    for (const f of FIELDS) saved[f] = n[f];
    this.#saved.set(n, saved as unknown as Saved);
  }

  /** Puts everything back. Nodes that did not exist before fall to the graph's next sweep. */
  restore(graph: Graph): void {
    for (const [n, saved] of this.#saved) {
      graph.setDeps(n, saved.deps);
      for (const f of FIELDS) (n as unknown as Record<string, unknown>)[f] = saved[f];
      graph.mayBeIdle(n);
    }
    this.#saved.clear();
  }
}
