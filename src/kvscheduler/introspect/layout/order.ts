import type { Mesh, Vertex } from "./mesh.ts";

/** Rounds of sweeps. After so many hardly anything changes in graphs of a few hundred nodes. */
const ROUNDS = 8;

/**
 * Orders the vertices within each layer so that few lines cross, by barycentres: each goes where the middle of its
 * neighbours is; those of one group stay together. Yields between layers. The best order that was seen is kept.
 */
export function* orderLayers(mesh: Mesh): Generator<void, void> {
  const { vertices, layers } = mesh;
  for (const layer of layers) layer.sort((a, b) => byGroup(vertices[a]!, vertices[b]!) || a - b);
  let best = layers.map((l) => [...l]);
  let fewest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS && fewest > 0; round++) {
    for (let l = 1; l < layers.length; l++) {
      sortLayer(mesh, l, "left");
      yield;
    }
    for (let l = layers.length - 2; l >= 0; l--) {
      sortLayer(mesh, l, "right");
      yield;
    }
    const now = crossings(mesh);
    if (now < fewest) {
      fewest = now;
      best = layers.map((l) => [...l]);
    }
    yield;
  }
  for (const [l, order] of best.entries()) layers[l] = order;
}

function byGroup(a: Vertex, b: Vertex): number {
  return a.group < b.group ? -1 : Number(a.group > b.group);
}

/** Where each vertex of a layer stands, from 0 (top) to 1. */
function places(layer: readonly number[]): ReadonlyMap<number, number> {
  return new Map(layer.map((v, i) => [v, (i + 0.5) / layer.length]));
}

function sortLayer({ vertices, layers }: Mesh, l: number, side: "left" | "right"): void {
  const layer = layers[l]!;
  const own = places(layer);
  const other = places(layers[side === "left" ? l - 1 : l + 1]!);
  const centre = new Map<number, number>();
  for (const v of layer) {
    const neighbours = vertices[v]![side];
    const sum = neighbours.reduce((total, n) => total + other.get(n)!, 0);
    centre.set(v, neighbours.length === 0 ? own.get(v)! : sum / neighbours.length);
  }
  const groups = new Map<string, { sum: number; count: number }>();
  for (const v of layer) {
    const { group } = vertices[v]!;
    const g = groups.get(group) ?? { sum: 0, count: 0 };
    g.sum += centre.get(v)!;
    g.count++;
    groups.set(group, g);
  }
  const groupCentre = (v: number): number => {
    const g = groups.get(vertices[v]!.group)!;
    return g.sum / g.count;
  };
  layer.sort(
    (a, b) =>
      groupCentre(a) - groupCentre(b) ||
      byGroup(vertices[a]!, vertices[b]!) ||
      centre.get(a)! - centre.get(b)! ||
      own.get(a)! - own.get(b)!,
  );
}

/** How many pairs of segments cross. */
export function crossings({ vertices, layers }: Mesh): number {
  let total = 0;
  for (let l = 1; l < layers.length; l++) {
    const before = new Map(layers[l - 1]!.map((v, i) => [v, i]));
    const ends: number[] = [];
    for (const v of layers[l]!) {
      ends.push(...vertices[v]!.left.map((n) => before.get(n)!).sort((a, b) => a - b));
    }
    total += inversions(ends, layers[l - 1]!.length);
  }
  return total;
}

/** Pairs that stand the wrong way round, counted in a Fenwick tree. */
function inversions(ends: readonly number[], size: number): number {
  const tree = Array.from({ length: size + 1 }, () => 0);
  let found = 0;
  for (const [seen, end] of ends.entries()) {
    let notAfter = 0;
    for (let i = end + 1; i > 0; i -= i & -i) notAfter += tree[i]!;
    found += seen - notAfter;
    for (let i = end + 1; i <= size; i += i & -i) tree[i]!++;
  }
  return found;
}
