import type { Mesh, Vertex } from "./mesh.ts";

/** Between boxes of a group, in pixels. */
const BOX_GAP = 4;
/** Between lines, or a line and a box. */
const LINE_GAP = 5;
/** Between groups; the frame of a group takes its part of it. */
const GROUP_GAP = 22;
/** A group's title, above its first box. */
export const TITLE_HEIGHT = 20;
const ROUNDS = 6;

/**
 * Gives every vertex its height on the page: as near as possible to the middle of its neighbours, in the order that the
 * layers have. Yields between layers.
 */
export function* placeRows(mesh: Mesh): Generator<void, void> {
  const { vertices, layers } = mesh;
  for (const layer of layers) {
    let y = 0;
    for (const [i, v] of layer.entries()) {
      if (i > 0) y += distance(vertices[layer[i - 1]!]!, vertices[v]!);
      vertices[v]!.y = y;
    }
    for (const v of layer) vertices[v]!.y -= y / 2;
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const layer of layers) {
      align(vertices, layer, (v) => v.left);
      yield;
    }
    for (const layer of layers.toReversed()) {
      align(vertices, layer, (v) => v.right);
      yield;
    }
  }
  for (const layer of layers) align(vertices, layer, (v) => [...v.left, ...v.right]);
}

/** The least distance between the middles of two vertices, one below the other. */
function distance(above: Vertex, below: Vertex): number {
  const middle = (above.height + below.height) / 2;
  if (above.group === below.group) return middle + BOX_GAP;
  const gap = above.box === undefined && below.box === undefined ? LINE_GAP : GROUP_GAP;
  return middle + gap + (below.box === undefined ? 0 : TITLE_HEIGHT);
}

/**
 * Moves the vertices of a layer to where their neighbours are, as nearly as their order and distances allow: the sum of
 * the squares of what is missing is the least (isotonic regression, pool adjacent violators).
 */
function align(
  vertices: readonly Vertex[],
  layer: readonly number[],
  neighbours: (v: Vertex) => readonly number[],
): void {
  const offsets: number[] = [];
  const pools: { sum: number; weight: number; count: number }[] = [];
  let offset = 0;
  for (const [i, index] of layer.entries()) {
    const v = vertices[index]!;
    if (i > 0) offset += distance(vertices[layer[i - 1]!]!, v);
    offsets.push(offset);
    const list = neighbours(v);
    // One without neighbours on this side stays where it is if it is in nobody's way.
    const wish = list.length === 0 ? v.y : list.reduce((sum, n) => sum + vertices[n]!.y, 0) / list.length;
    const weight = list.length === 0 ? 0.01 : v.box === undefined ? 2 : 1;
    let pool = { sum: (wish - offset) * weight, weight, count: 1 };
    let together = i > 0 && vertices[layer[i - 1]!]!.group === v.group; // a group is one block, without gaps
    for (let last = pools.at(-1); last !== undefined && (together || mean(last) > mean(pool)); last = pools.at(-1)) {
      together = false;
      pools.pop();
      pool = { sum: last.sum + pool.sum, weight: last.weight + pool.weight, count: last.count + pool.count };
    }
    pools.push(pool);
  }
  let i = 0;
  for (const pool of pools) {
    for (const end = i + pool.count; i < end; i++) vertices[layer[i]!]!.y = mean(pool) + offsets[i]!;
  }
}

const mean = (pool: { readonly sum: number; readonly weight: number }): number => pool.sum / pool.weight;
