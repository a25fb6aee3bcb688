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

type Saved = Pick<Node, (typeof FIELDS)[number] | "deps" | "actual">;

/**
 * How the touched nodes were before a transaction, for a dry run and for an atomic transaction that fails: the cost is
 * that of what was touched, whatever the size of the graph.
 */
export class Journal {
  readonly #saved = new Map<Node, Saved>();
  /** What was in place where something equal, with other dependencies, was taken for it without any operation. */
  readonly #adopted = new Map<Node, Pick<Node, "actual" | "actualDeps">>();

  save(n: Node): void {
    const saved: Record<string, unknown> = { deps: n.deps, actual: n.actual };
    for (const f of FIELDS) saved[f] = n[f];
    this.#saved.set(n, saved as unknown as Saved);
  }

  saveActual(n: Node): void {
    if (!this.#adopted.has(n)) this.#adopted.set(n, { actual: n.actual, actualDeps: n.actualDeps });
  }

  /**
   * Puts everything back. Nodes that did not exist before fall to the graph's next sweep.
   * @param tried whether nothing was really done: then also the object that stands for what is in place
   */
  restore(graph: Graph, tried = false): void {
    for (const [n, saved] of this.#saved) {
      graph.setDeps(n, saved.deps);
      for (const f of FIELDS) (n as unknown as Record<string, unknown>)[f] = saved[f];
      if (tried) n.actual = saved.actual;
      if (n.late) n.unsure = true; // it may still have its effect
      graph.mayBeIdle(n);
    }
    for (const [n, { actual, actualDeps }] of this.#adopted) {
      if (!n.present) continue;
      n.actual = actual;
      graph.setActualDeps(n, actualDeps);
    }
    this.#saved.clear();
    this.#adopted.clear();
  }
}
