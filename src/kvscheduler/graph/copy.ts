import { due, type Steps } from "../txn/turn.ts";
import { Graph } from "./graph.ts";
import { type DepList, NO_DEPS, NO_NODES, Node } from "./node.ts";

/** A graph like the given one, to try things on. Values, errors and metadata are shared, nodes are not. */
export function* copyGraph(graph: Graph): Steps<Graph> {
  const copy = new Graph(graph.registry);
  for (const n of graph.nodes.values()) {
    if (due()) yield;
    copyFields(n, copy.ensure(n.key));
  }
  const lists = new Map<DepList, DepList>([[NO_DEPS, NO_DEPS]]);
  const copyList = (list: DepList): DepList => {
    let made = lists.get(list);
    if (made !== undefined) return made;
    made = {
      base: list.base && copy.ensure(list.base.key),
      deps: list.deps.map((dep) => ({ ...dep, target: dep.target && copy.ensure(dep.target.key) })),
    };
    if (list !== NO_DEPS) lists.set(list, made);
    return made;
  };
  for (const n of graph.nodes.values()) {
    if (due()) yield;
    const c = copy.nodes.get(n.key)!;
    copy.setDeps(c, copyList(n.deps));
    copy.setActualDeps(c, copyList(n.actualDeps));
    if (n.derived.length > 0) c.derived = n.derived.map((d) => copy.ensure(d.key));
    if (n.claims !== undefined) {
      c.claims = n.claims.map(({ base, value }) => ({ base: copy.ensure(base.key), value }));
    }
  }
  copy.visited = graph.nodes.size;
  return copy;
}

function copyFields(from: Node, to: Node): void {
  to.descriptor = from.descriptor;
  to.owner = from.owner;
  to.nb = from.nb;
  to.others = from.others;
  to.eff = from.eff;
  to.derived = NO_NODES;
  to.goal = from.goal;
  to.present = from.present;
  to.actual = from.actual;
  to.metadata = from.metadata;
  to.southbound = from.southbound;
  to.discovered = from.discovered;
  to.missing = from.missing;
  to.trouble = from.trouble;
  to.late = from.late;
  to.unsure = from.unsure;
  to.retry = from.retry;
  to.attempts = from.attempts;
  to.lastOp = from.lastOp;
  to.txn = from.txn;
}
