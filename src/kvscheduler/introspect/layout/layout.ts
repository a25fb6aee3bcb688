import { BOX_HEIGHT, type Box, buildMesh, type Link, type Mesh, type Segment } from "./mesh.ts";
import { orderLayers } from "./order.ts";
import { placeRows, TITLE_HEIGHT } from "./place.ts";

export type { Box, Link } from "./mesh.ts";
export { BOX_HEIGHT } from "./mesh.ts";
export { TITLE_HEIGHT } from "./place.ts";

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Frame extends Rect {
  readonly group: string;
}

/** A line from left to right, as corners of a path: straight across columns, a curve between them. */
export interface Line {
  /** `[x, y]` where it leaves the left end, the left column, enters the right column, and meets the right end. */
  readonly points: readonly (readonly [number, number])[];
  readonly style: string;
  readonly links: readonly number[];
  /** Where its arrow points, if one of its ends is its target. */
  readonly arrow?: "left" | "right";
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Of each box. */
  readonly boxes: readonly Rect[];
  readonly frames: readonly Frame[];
  readonly lines: readonly Line[];
}

const FRAME_PAD = 6;
const BLOCK_GAP = 24;
/** Boxes without lines are set in blocks of about this width, or of the drawing's if that is wider. */
const MIN_WIDTH = 1100;

/** Where everything goes. The same input gives the same layout. Yields where it may be interrupted. */
export function* layOut(boxes: readonly Box[], links: readonly Link[]): Generator<void, Layout> {
  const mesh = buildMesh(boxes, links);
  yield;
  yield* orderLayers(mesh);
  yield* placeRows(mesh);
  const columns = placeColumns(mesh);
  yield;
  const rects: Rect[] = boxes.map(() => ({ x: 0, y: 0, width: 0, height: 0 }));
  for (const v of mesh.vertices) {
    if (v.box !== undefined) rects[v.box] = { x: v.x, y: v.y - v.height / 2, width: v.width, height: v.height };
  }
  const frames = framesOf(mesh, rects);
  const ys = [...frames.flatMap((f) => [f.y, f.y + f.height]), ...mesh.vertices.map((v) => v.y)];
  const top = ys.length === 0 ? 0 : Math.min(...ys);
  const bottom = ys.length === 0 ? 0 : Math.max(...ys);
  const right = columns.at(-1)?.end ?? 0;
  const below = frames.length === 0 ? 0 : bottom + BLOCK_GAP;
  const grid = placeLoose(boxes, rects, frames, below, Math.max(right, MIN_WIDTH));
  const lines = mesh.segments.map((s) => lineOf(mesh, s, columns, rects));
  return {
    width: Math.max(right, grid.width) + FRAME_PAD,
    height: Math.max(bottom, grid.bottom) - top + FRAME_PAD,
    boxes: rects.map((r) => ({ ...r, x: round(r.x), y: round(r.y - top) })),
    frames: frames.map((f) => ({ ...f, x: round(f.x), y: round(f.y - top) })),
    lines: lines.map((l) => ({ ...l, points: l.points.map(([x, y]) => [round(x), round(y - top)] as const) })),
  };
}

interface Column {
  readonly start: number;
  readonly end: number;
}

/** Layers from left to right, further apart where more lines run between them. */
function placeColumns({ vertices, layers, segments }: Mesh): Column[] {
  const crowds = layers.map(() => 0);
  for (const { left } of segments) crowds[vertices[left]!.layer]!++;
  const columns: Column[] = [];
  let x = FRAME_PAD;
  for (const [l, layer] of layers.entries()) {
    const width = layer.reduce((w, v) => Math.max(w, vertices[v]!.width), 0);
    for (const v of layer) vertices[v]!.x = x;
    columns.push({ start: x - FRAME_PAD, end: x + width + FRAME_PAD });
    x += width + 2 * FRAME_PAD + Math.min(220, 50 + 1.5 * crowds[l]!);
  }
  return columns;
}

/** Around boxes of one group that stand below each other. They get the same width. */
function framesOf({ vertices, layers }: Mesh, rects: Rect[]): Frame[] {
  const frames: Frame[] = [];
  for (const layer of layers) {
    for (let i = 0; i < layer.length; ) {
      const { group, box } = vertices[layer[i]!]!;
      let end = i + 1;
      while (end < layer.length && vertices[layer[end]!]!.group === group) end++;
      if (box !== undefined) {
        const members = layer.slice(i, end).map((v) => vertices[v]!.box!);
        frames.push(frameAround(group, members, rects));
      }
      i = end;
    }
  }
  return frames;
}

function frameAround(group: string, members: readonly number[], rects: Rect[]): Frame {
  const width = members.reduce((w, b) => Math.max(w, rects[b]!.width), 0);
  for (const b of members) rects[b] = { ...rects[b]!, width };
  const first = rects[members[0]!]!;
  const last = rects[members.at(-1)!]!;
  const y = first.y - TITLE_HEIGHT;
  return {
    group,
    x: first.x - FRAME_PAD,
    y,
    width: width + 2 * FRAME_PAD,
    height: last.y + last.height + FRAME_PAD - y,
  };
}

/** Boxes without lines: each group a block, column by column, blocks side by side while there is room. */
function placeLoose(
  boxes: readonly Box[],
  rects: Rect[],
  frames: Frame[],
  top: number,
  room: number,
): { width: number; bottom: number } {
  const groups = new Map<string, number[]>();
  for (const [i, box] of boxes.entries()) {
    if (rects[i]!.height > 0) continue;
    groups.set(box.group, [...(groups.get(box.group) ?? []), i]);
  }
  let x = 0;
  let y = top;
  let rowHeight = 0;
  let widest = 0;
  for (const [group, members] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const width = members.reduce((w, i) => Math.max(w, boxes[i]!.width), 0);
    const across = Math.max(1, Math.min(Math.floor(room / (width + 8)), Math.ceil(members.length / 12)));
    const down = Math.ceil(members.length / across);
    const frame: Frame = {
      group,
      x: 0,
      y: 0,
      width: across * (width + 8) - 8 + 2 * FRAME_PAD,
      height: TITLE_HEIGHT + down * (BOX_HEIGHT + 4) - 4 + FRAME_PAD,
    };
    if (x > 0 && x + frame.width > room) {
      x = 0;
      y += rowHeight + BLOCK_GAP;
      rowHeight = 0;
    }
    frames.push({ ...frame, x, y });
    for (const [n, i] of members.entries()) {
      rects[i] = {
        x: x + FRAME_PAD + Math.floor(n / down) * (width + 8),
        y: y + TITLE_HEIGHT + (n % down) * (BOX_HEIGHT + 4),
        width,
        height: BOX_HEIGHT,
      };
    }
    x += frame.width + BLOCK_GAP;
    widest = Math.max(widest, x - BLOCK_GAP);
    rowHeight = Math.max(rowHeight, frame.height);
  }
  return { width: widest, bottom: y + rowHeight };
}

function lineOf({ vertices }: Mesh, segment: Segment, columns: readonly Column[], rects: readonly Rect[]): Line {
  const { style, links, target, backwards } = segment;
  const left = vertices[segment.left]!;
  const right = vertices[segment.right]!;
  const from = columns[left.layer]!;
  const to = columns[right.layer]!;
  const start = left.box === undefined ? from.start : left.x + rects[left.box]!.width;
  const arrow = left.box === target && !backwards ? "left" : right.box === target && backwards ? "right" : undefined;
  return {
    points: [
      [start, left.y],
      [from.end, left.y],
      [to.start, right.y],
      [right.box === undefined ? to.start : right.x, right.y],
    ],
    style,
    links,
    ...(arrow !== undefined && { arrow }),
  };
}

const round = (n: number): number => Math.round(n * 10) / 10;
