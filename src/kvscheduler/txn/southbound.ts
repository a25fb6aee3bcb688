import type { Key, Retrieved } from "../api/descriptor.ts";
import type { SouthboundDump, SouthboundFilter, SouthboundValue } from "../api/southbound.ts";
import type { Graph } from "../graph/graph.ts";
import type { Node } from "../graph/node.ts";
import { type Entry, equivalent } from "../graph/registry.ts";
import type { Refresh } from "./refresh.ts";
import { sortInSteps } from "./sort.ts";
import { eachInSteps, inTurns, type Turn } from "./turn.ts";

/** Reads the southbound and compares it with what is believed. The graph stays as it is. */
export async function dumpSouthbound(
  graph: Graph,
  refresh: Refresh,
  turn: Turn,
  { filter, txn, first }: { filter: SouthboundFilter; txn: number; first: boolean },
): Promise<SouthboundDump> {
  const prefix = filter.prefix ?? "";
  const selects = (entry: Entry): boolean =>
    (filter.descriptor === undefined || entry.name === filter.descriptor) &&
    entry.api.keyPrefixes.some((p) => p.startsWith(prefix) || prefix.startsWith(p));
  const read = new Set<Entry>();
  const found = new Map<Key, Retrieved<unknown, unknown>>();
  const values: SouthboundValue[] = [];
  const failed = await refresh.read({
    graph,
    txn,
    first,
    // What is read later may be mapped by what was read before; nothing of it is kept.
    metadata: { metadata: (key) => found.get(key)?.metadata ?? graph.metadata(key) },
    selects,
    take: async (entry, items) => {
      read.add(entry);
      const take = (item: Retrieved<unknown, unknown>): void => {
        found.set(item.key, item);
        if (item.key.startsWith(prefix)) values.push(compared(graph, entry, item));
      };
      await inTurns(turn, eachInSteps(items, take));
    },
  });
  const missing: Key[] = [];
  const judge = (n: Node): void => {
    if (!n.present || n.descriptor === undefined || !read.has(n.descriptor)) return;
    if (n.key.startsWith(prefix) && !found.has(n.key)) missing.push(n.key);
  };
  await inTurns(turn, eachInSteps([...graph.nodes.values()], judge));
  const unread: { descriptor: string; error?: Error }[] = [];
  for (const entry of graph.registry.entries) {
    if (!selects(entry) || read.has(entry)) continue;
    const error = failed.get(entry);
    unread.push({ descriptor: entry.name, ...(error !== undefined && { error }) });
  }
  const sorted = await inTurns(
    turn,
    sortInSteps(values, (a, b) => (a.key < b.key ? -1 : 1)),
  );
  return { values: sorted, missing: missing.sort(), unread };
}

function compared(graph: Graph, entry: Entry, item: Retrieved<unknown, unknown>): SouthboundValue {
  const n = graph.nodes.get(item.key);
  const known = n?.present === true;
  const same = known && equivalent(entry, item.key, n.actual, item.value);
  return {
    key: item.key,
    value: item.value,
    descriptor: entry.name,
    origin: item.origin ?? "unknown",
    ...(!same && { differs: known ? ("value" as const) : ("unknown" as const) }),
  };
}
