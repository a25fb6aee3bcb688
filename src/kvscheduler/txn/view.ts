import { fullMessage } from "../../base/errors/errors.ts";
import type { Key } from "../api/descriptor.ts";
import type { GraphEdge, GraphFilter, GraphNode, GraphView, TimelineEntry } from "../api/graph-view.ts";
import type { ValueCounts } from "../api/stats.ts";
import type { ValueState } from "../api/status.ts";
import type { Graph } from "../graph/graph.ts";
import { type Dep, isDerived, type Node, stateOf } from "../graph/node.ts";
import { describe, type TxnRecord } from "./record.ts";
import { unmetOf } from "./report.ts";

/** Edges of one any-of dependency that are drawn. */
const MAX_MATCHES = 10;
const DEFAULT_LIMIT = 10_000;

/** A picture of a part of the graph, for people and for drawing. */
export function viewOf(graph: Graph, filter: GraphFilter): GraphView {
  const limit = Math.max(0, filter.limit ?? DEFAULT_LIMIT);
  const chosen = select(graph, filter);
  // Around a key the nearest come first, and nearness is the order in which they were found.
  if (filter.neighbours === undefined) chosen.sort(byKey);
  const shown = chosen.slice(0, limit).sort(byKey);
  const inside = new Set(shown);
  const edges: GraphEdge[] = [];
  for (const n of shown) {
    const own: GraphEdge[] = [];
    edgesOf(graph, n, inside, own);
    own.sort(byKindLabelAndTarget);
    for (const edge of own) edges.push(edge);
  }
  return { nodes: shown.map((n) => nodeView(graph, n)), edges, omitted: chosen.length - shown.length };
}

function byKey(a: Node, b: Node): number {
  return a.key < b.key ? -1 : 1;
}

function byKindLabelAndTarget(a: GraphEdge, b: GraphEdge): number {
  const texts = (e: GraphEdge): string[] => [e.kind, e.label ?? "", e.to ?? ""];
  const [x, y] = [texts(a), texts(b)];
  const i = x.findIndex((text, at) => text !== y[at]);
  return i < 0 ? 0 : x[i]! < y[i]! ? -1 : 1;
}

function select(graph: Graph, filter: GraphFilter): Node[] {
  const { prefix, descriptor, keys } = filter;
  const matches = (n: Node): boolean =>
    (prefix === undefined || n.key.startsWith(prefix)) &&
    (descriptor === undefined || n.descriptor?.name === descriptor) &&
    (keys === undefined || keys.has(n.key));
  const chosen: Node[] = [];
  const among = filter.neighbours === undefined ? candidates(graph, keys) : around(graph, filter);
  for (const n of among) if (matches(n)) chosen.push(n);
  return chosen;
}

function* candidates(graph: Graph, keys: ReadonlySet<Key> | undefined): Generator<Node> {
  if (keys === undefined) {
    yield* graph.nodes.values();
    return;
  }
  for (const key of keys) {
    const n = graph.nodes.get(key);
    if (n !== undefined) yield n;
  }
}

/** The nodes within so many edges of one, the nearest first. */
function around(graph: Graph, filter: GraphFilter): Set<Node> {
  const found = new Set<Node>();
  const start = graph.nodes.get(filter.neighbours!);
  if (start === undefined) return found;
  found.add(start);
  let border = [start];
  for (let step = filter.depth ?? 1; step > 0 && border.length > 0; step--) {
    const next: Node[] = [];
    for (const n of border) {
      const near = new Set<Node>();
      forEachNeighbour(graph, n, (other) => near.add(other));
      for (const other of [...near].sort(byKey)) {
        if (found.has(other)) continue;
        found.add(other);
        next.push(other);
      }
    }
    border = next;
  }
  return found;
}

/** The dependencies that count: of what is aimed for, or of what is in place though nobody wants it. */
function depsOf(n: Node): Node["deps"] {
  return n.eff === undefined ? n.actualDeps : n.deps;
}

function forEachNeighbour(graph: Graph, n: Node, visit: (other: Node) => void): void {
  const { base, deps } = depsOf(n);
  if (base !== undefined) visit(base);
  for (const dep of deps) {
    if (dep.target !== undefined) visit(dep.target);
    else for (const m of matchesOf(graph, dep).nodes) visit(m);
  }
  for (const d of n.derived) visit(d);
  graph.forEachDependent(n, visit);
}

function nodeView(graph: Graph, n: Node): GraphNode {
  const state = stateOf(n);
  const value = n.present ? n.actual : n.eff;
  return {
    key: n.key,
    state,
    ...(n.descriptor !== undefined && { descriptor: n.descriptor.name }),
    derived: isDerived(n),
    ...(n.owner !== undefined && { source: n.owner.name }),
    ...(value !== undefined && { value: describe(n, value) }),
    ...(n.trouble !== undefined && { error: fullMessage(n.trouble.error) }),
    ...(state === "PENDING" && { unmet: unmetOf(graph, n) }),
    ...(n.txn > 0 && { txn: n.txn }),
  };
}

function edgesOf(graph: Graph, n: Node, inside: ReadonlySet<Node>, edges: GraphEdge[]): void {
  const { base, deps } = depsOf(n);
  const from = n.key;
  if (base !== undefined && inside.has(base)) edges.push({ from, to: base.key, kind: "derived", met: base.goal });
  for (const dep of deps) {
    const { label, target } = dep;
    if (target !== undefined) {
      if (inside.has(target)) edges.push({ from, to: target.key, kind: "key", label, met: target.goal });
      continue;
    }
    const { prefixes } = dep.anyOf!;
    const { nodes, more } = matchesOf(graph, dep);
    const common = { from, kind: "any-of" as const, label, prefixes, ...(more && { more: true as const }) };
    if (nodes.length === 0) edges.push({ ...common, met: false });
    for (const m of nodes) if (inside.has(m)) edges.push({ ...common, to: m.key, met: true });
  }
}

function matchesOf(graph: Graph, dep: Dep): { nodes: Node[]; more: boolean } {
  const found = new Set<Node>();
  const more = graph.someOf(dep.anyOf!, (n) => {
    if (!n.goal || found.has(n)) return false;
    if (found.size === MAX_MATCHES) return true;
    found.add(n);
    return false;
  });
  return { nodes: [...found], more };
}

/** How many nodes are in which state, by descriptor. */
export function countStates(graph: Graph): ValueCounts[] {
  const byName = new Map<string | undefined, Partial<Record<ValueState, number>>>();
  const names = [...graph.registry.entries].map((e) => e.name).sort();
  for (const name of names) byName.set(name, {});
  for (const n of graph.nodes.values()) {
    const name = n.descriptor?.name;
    let states = byName.get(name);
    if (states === undefined) byName.set(name, (states = {}));
    const state = stateOf(n);
    if (name === undefined && state === "NONEXISTENT") continue; // only named by a dependency
    states[state] = (states[state] ?? 0) + 1;
  }
  return [...byName].map(([descriptor, states]) => ({ ...(descriptor !== undefined && { descriptor }), states }));
}

/** What has been done with one key, as far as the records reach. */
export function timelineOf(records: readonly TxnRecord[], key: Key): TimelineEntry[] {
  const entries: TimelineEntry[] = [];
  for (const record of records) {
    if (record.dryRun === true) continue;
    const { seq, kind, source, description, resync, startedAt, endedAt } = record;
    const txn = {
      seq,
      kind,
      source,
      ...(description !== undefined && { description }),
      ...(resync !== undefined && { resync }),
      startedAt,
      endedAt,
    };
    for (const op of record.executedOn(key)) entries.push({ ...txn, op });
    for (const op of record.droppedOn(key)) entries.push({ ...txn, op, dropped: true });
  }
  return entries;
}
