/** `from` needs `to`; indexes of nodes. */
export interface Arc {
  readonly from: number;
  readonly to: number;
}

export interface Layering {
  /** Of each node: everything is to the right of what it needs, reversed arcs the other way round. */
  readonly layer: readonly number[];
  /** Arcs, by index, that go the other way: they close a cycle. */
  readonly reversed: ReadonlySet<number>;
}

/** Layers by longest path; cycles are cut where a walk along the needs, in the order of the nodes, closes them. */
export function assignLayers(count: number, arcs: readonly Arc[]): Layering {
  const reversed = backArcs(count, arcs);
  const needs: number[][] = Array.from({ length: count }, () => []);
  const neededBy: number[][] = Array.from({ length: count }, () => []);
  for (const [i, { from, to }] of arcs.entries()) {
    const [right, left] = reversed.has(i) ? [to, from] : [from, to];
    needs[right]!.push(left);
    neededBy[left]!.push(right);
  }
  const open = needs.map((list) => list.length);
  const layer = needs.map(() => 0);
  const ready = open.flatMap((n, i) => (n === 0 ? [i] : []));
  for (const next of ready) {
    for (const user of neededBy[next]!) {
      layer[user] = Math.max(layer[user]!, layer[next]! + 1);
      if (--open[user]! === 0) ready.push(user);
    }
  }
  // What needs nothing moves next to the first that needs it: lines get shorter.
  for (const [i, users] of neededBy.entries()) {
    if (needs[i]!.length > 0 || users.length === 0) continue;
    layer[i] = users.reduce((least, user) => Math.min(least, layer[user]!), Number.POSITIVE_INFINITY) - 1;
  }
  return { layer, reversed };
}

/** The arcs that lead back to where the walk has come from. Without recursion: a chain may be ten thousand long. */
function backArcs(count: number, arcs: readonly Arc[]): ReadonlySet<number> {
  const out: number[][] = Array.from({ length: count }, () => []);
  for (const [i, { from }] of arcs.entries()) out[from]!.push(i);
  const back = new Set<number>();
  const state: ("new" | "open" | "done")[] = out.map(() => "new");
  for (let start = 0; start < count; start++) {
    if (state[start] !== "new") continue;
    state[start] = "open";
    const path = [{ node: start, next: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const arc = out[top.node]![top.next++];
      if (arc === undefined) {
        state[top.node] = "done";
        path.pop();
        continue;
      }
      const { to } = arcs[arc]!;
      if (state[to] === "open") back.add(arc);
      else if (state[to] === "new") {
        state[to] = "open";
        path.push({ node: to, next: 0 });
      }
    }
  }
  return back;
}
