import { HeddleError } from "../../../base/errors/errors.ts";
import { type Arc, assignLayers } from "./layers.ts";

/** What is to be drawn: a box with a label. Boxes of one group and layer are drawn together. */
export interface Box {
  readonly group: string;
  readonly width: number;
}

/** A line between boxes. Lines of one style to one box share their way. */
export interface Link extends Arc {
  readonly style: string;
}

/** A box, or the place where a line crosses a layer. */
export interface Vertex {
  /** Index of the box; undefined where only a line passes. */
  readonly box?: number;
  readonly group: string;
  readonly layer: number;
  readonly width: number;
  readonly height: number;
  /** Indexes of vertices in the layer to the left and to the right. */
  readonly left: number[];
  readonly right: number[];
  x: number;
  /** Of its middle. */
  y: number;
}

/** A piece of a line between neighbouring layers. */
export interface Segment {
  readonly left: number;
  readonly right: number;
  readonly style: string;
  /** The box that all its lines lead to. */
  readonly target: number;
  /** The line goes from left to right: it closes a cycle. */
  readonly backwards: boolean;
  /** Indexes of the links that run here. */
  readonly links: number[];
}

export interface Mesh {
  readonly vertices: Vertex[];
  readonly segments: Segment[];
  /** Vertices by layer, in the order in which they are drawn from top to bottom. */
  readonly layers: number[][];
}

/** Places where lines cross layers; with more of them nobody could read the drawing, and it would take seconds. */
const MAX_VERTICES = 20_000;

/** So many lines over so many layers are not drawn. Ask for a smaller part of the graph, or for another format. */
export class TooDenseError extends HeddleError<"TOO_DENSE"> {
  constructor() {
    super("TOO_DENSE", `lines cross layers at more than ${MAX_VERTICES} places; ask for a smaller part of the graph`);
  }
}

export const BOX_HEIGHT = 20;
const LINE_HEIGHT = 2;

/**
 * Puts boxes into layers and cuts links into segments. Boxes without a link are not in it.
 * @throws TooDenseError
 */
export function buildMesh(boxes: readonly Box[], links: readonly Link[]): Mesh {
  const { layer, reversed } = assignLayers(boxes.length, links);
  const linked = new Set(links.flatMap(({ from, to }) => [from, to]));
  const vertices: Vertex[] = [];
  const ofBox = new Map<number, number>();
  for (const [i, { group, width }] of boxes.entries()) {
    if (!linked.has(i)) continue;
    ofBox.set(i, vertices.length);
    vertices.push({ box: i, group, layer: layer[i]!, width, height: BOX_HEIGHT, left: [], right: [], x: 0, y: 0 });
  }
  const segments = new Map<string, Segment>();
  const passes = new Map<string, number>();

  for (const [i, { from, to, style }] of links.entries()) {
    const backwards = reversed.has(i);
    // Lines share their way to `target`; for the usual ones it lies to the left.
    const [left, right] = backwards ? [from, to] : [to, from];
    const trunk = `${backwards ? `${from}>` : ""}${to} ${style}`;
    const pass = (at: number): number => {
      const id = `${trunk} ${at}`;
      let vertex = passes.get(id);
      if (vertex === undefined) {
        vertex = vertices.length;
        if (vertex >= MAX_VERTICES) throw new TooDenseError();
        passes.set(id, vertex);
        const group = `line ${id}`;
        vertices.push({ group, layer: at, width: 0, height: LINE_HEIGHT, left: [], right: [], x: 0, y: 0 });
      }
      return vertex;
    };
    let previous = ofBox.get(left)!;
    for (let at = layer[left]! + 1; at <= layer[right]!; at++) {
      const next = at === layer[right]! ? ofBox.get(right)! : pass(at);
      const id = `${previous} ${next} ${style} ${backwards}`;
      const segment = segments.get(id);
      if (segment === undefined) {
        segments.set(id, { left: previous, right: next, style, target: to, backwards, links: [i] });
        vertices[previous]!.right.push(next);
        vertices[next]!.left.push(previous);
      } else {
        segment.links.push(i);
      }
      previous = next;
    }
  }
  const layers: number[][] = [];
  for (const [i, vertex] of vertices.entries()) (layers[vertex.layer] ??= []).push(i);
  return { vertices, segments: [...segments.values()], layers: Array.from(layers, (l) => l ?? []) };
}
