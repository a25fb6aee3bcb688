import type { Key, KeyValue } from "../api/descriptor.ts";
import type { StatusFilter } from "../api/scheduler.ts";
import type { ValueStatus } from "../api/status.ts";
import type { Graph } from "../graph/graph.ts";
import { isDerived, type Node, stateOf } from "../graph/node.ts";
import { statusOf } from "./report.ts";

/** The states of all values that the filter selects, sorted by key. */
export function statusesOf(graph: Graph, filter: StatusFilter): ValueStatus[] {
  const { prefix, descriptor, states } = filter;
  const found = select(graph, prefix, (n) => {
    const state = stateOf(n);
    if (state === "NONEXISTENT") return false;
    if (descriptor !== undefined && n.descriptor?.name !== descriptor) return false;
    return states === undefined || states.includes(state);
  });
  return found.map((n) => statusOf(graph, n));
}

/** The values as configured, or as last known in the southbound, sorted by key. */
export function dumpOf(graph: Graph, view: "northbound" | "cached", prefix: Key | undefined): KeyValue[] {
  if (view === "northbound") {
    return select(graph, prefix, (n) => n.owner !== undefined).map((n) => ({ key: n.key, value: n.nb }));
  }
  const inPlace = select(graph, prefix, (n) => n.present && (n.descriptor !== undefined || isDerived(n)));
  return inPlace.map((n) => ({ key: n.key, value: n.actual }));
}

function select(graph: Graph, prefix: Key | undefined, test: (n: Node) => boolean): Node[] {
  const found: Node[] = [];
  for (const n of graph.nodes.values()) {
    if ((prefix === undefined || n.key.startsWith(prefix)) && test(n)) found.push(n);
  }
  return found.sort((a, b) => (a.key < b.key ? -1 : 1));
}
