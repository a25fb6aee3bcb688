import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { assignLayers } from "../../../src/kvscheduler/introspect/layout/layers.ts";
import {
  type Box,
  type Layout,
  type Link,
  layOut,
  type Rect,
} from "../../../src/kvscheduler/introspect/layout/layout.ts";
import { buildMesh, TooDenseError } from "../../../src/kvscheduler/introspect/layout/mesh.ts";
import { crossings, orderLayers } from "../../../src/kvscheduler/introspect/layout/order.ts";

function lay(boxes: readonly Box[], links: readonly Link[]): Layout {
  const steps = layOut(boxes, links);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

const graph = fc.integer({ min: 2, max: 40 }).chain((count) =>
  fc.record({
    boxes: fc.array(
      fc.record({ group: fc.constantFrom("a", "b", "c", "d"), width: fc.integer({ min: 40, max: 300 }) }),
      { minLength: count, maxLength: count },
    ),
    links: fc.array(
      fc
        .record({ from: fc.nat(count - 1), to: fc.nat(count - 1), style: fc.constantFrom("key", "derived") })
        .filter(({ from, to }) => from !== to),
      { maxLength: 80 },
    ),
  }),
);

const overlap = (a: Rect, b: Rect): boolean =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
const inside = (inner: Rect, outer: Rect): boolean =>
  inner.x >= outer.x - 0.1 &&
  inner.y >= outer.y - 0.1 &&
  inner.x + inner.width <= outer.x + outer.width + 0.1 &&
  inner.y + inner.height <= outer.y + outer.height + 0.1;

describe("a layout", () => {
  it("has no box over another, each in a frame of its group, and all of it on the page", () => {
    fc.assert(
      fc.property(graph, ({ boxes, links }) => {
        const { boxes: rects, frames, width, height } = lay(boxes, links);
        const page = { x: -1, y: -1, width: width + 2, height: height + 2 };
        for (const [i, rect] of rects.entries()) {
          expect(rect.width).toBeGreaterThanOrEqual(boxes[i]!.width);
          expect(frames.some((f) => f.group === boxes[i]!.group && inside(rect, f))).toBe(true);
          for (const other of rects.slice(i + 1)) expect(overlap(rect, other)).toBe(false);
        }
        for (const [i, frame] of frames.entries()) {
          expect(inside(frame, page)).toBe(true);
          for (const other of frames.slice(i + 1)) expect(overlap(frame, other)).toBe(false);
        }
      }),
      { numRuns: 50 },
    );
  });

  it("has lines from box to box, left to right, that cross no box", () => {
    fc.assert(
      fc.property(graph, ({ boxes, links }) => {
        const { boxes: rects, lines } = lay(boxes, links);
        for (const { points } of lines) {
          for (let i = 1; i < points.length; i++) expect(points[i]![0]).toBeGreaterThanOrEqual(points[i - 1]![0]);
          // Across columns lines run straight: where one passes a column, no box is in its way.
          const [a, b] = points as [readonly [number, number], readonly [number, number]];
          for (const r of rects) {
            const within = a[1] > r.y && a[1] < r.y + r.height && a[0] < r.x + r.width - 1 && b[0] > r.x + 1;
            expect(within).toBe(false);
          }
        }
        for (const i of links.keys()) expect(lines.some((l) => l.links.includes(i))).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  it("is the same for the same graph", () => {
    fc.assert(
      fc.property(graph, ({ boxes, links }) => {
        expect(lay(boxes, links)).toEqual(lay(boxes, links));
      }),
      { numRuns: 20 },
    );
  });

  it("of nothing is empty", () => {
    expect(lay([], [])).toMatchObject({ boxes: [], frames: [], lines: [] });
  });
});

describe("layers", () => {
  it("are by longest path", () => {
    const arcs = [
      { from: 1, to: 0 },
      { from: 2, to: 1 },
      { from: 2, to: 0 },
    ];
    expect(assignLayers(3, arcs).layer).toEqual([0, 1, 2]);
  });

  it("put everything to the right of what it needs, cycles excepted", () => {
    fc.assert(
      fc.property(graph, ({ boxes, links }) => {
        const { layer, reversed } = assignLayers(boxes.length, links);
        for (const [i, { from, to }] of links.entries()) {
          if (reversed.has(i)) expect(layer[from]).toBeLessThan(layer[to]!);
          else expect(layer[from]).toBeGreaterThan(layer[to]!);
        }
      }),
    );
  });

  it("are found for a chain of ten thousand", () => {
    const arcs = Array.from({ length: 9999 }, (_, i) => ({ from: i + 1, to: i }));
    expect(assignLayers(10_000, arcs).layer.at(-1)).toBe(9999);
  });
});

describe("the order within layers", () => {
  it("gets rid of crossings that need not be", () => {
    const boxes = Array.from({ length: 20 }, (_, i) => ({ group: i < 10 ? "a" : "b", width: 50 }));
    const links = Array.from({ length: 10 }, (_, i) => ({ from: 10 + ((i * 7) % 10), to: i, style: "key" }));
    const mesh = buildMesh(boxes, links);
    const before = crossings(mesh);
    for (const _ of orderLayers(mesh));
    expect(before).toBeGreaterThan(10);
    expect(crossings(mesh)).toBe(0);
  });

  it("counts each pair of lines that cross", () => {
    const boxes = Array.from({ length: 4 }, () => ({ group: "a", width: 50 }));
    const links = [
      { from: 2, to: 1, style: "key" },
      { from: 3, to: 0, style: "key" },
    ];
    expect(crossings(buildMesh(boxes, links))).toBe(1);
  });
});

describe("a graph that nobody could read", () => {
  it("is refused rather than drawn for seconds", () => {
    const boxes = Array.from({ length: 400 }, () => ({ group: "a", width: 50 }));
    const links: Link[] = [];
    for (let from = 0; from < 400; from++) {
      for (let to = 0; to < from; to++) links.push({ from, to, style: "key" });
    }
    expect(() => lay(boxes, links)).toThrow(TooDenseError);
  });
});
