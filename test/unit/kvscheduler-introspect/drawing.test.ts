import { describe, expect, it } from "vitest";
import type { GraphNode, GraphView } from "../../../src/kvscheduler/api/graph-view.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { renderDot } from "../../../src/kvscheduler/introspect/draw/dot.ts";
import { pictureOf } from "../../../src/kvscheduler/introspect/draw/picture.ts";
import { drawSvg } from "../../../src/kvscheduler/introspect/draw/svg.ts";

const node = (key: string, more: Partial<GraphNode> = {}): GraphNode => ({
  key,
  state: "CONFIGURED",
  descriptor: key.split("/", 1)[0]!,
  derived: false,
  ...more,
});

const VIEW: GraphView = {
  nodes: [
    node("link/a"),
    node("link/b", { state: "FAILED", error: "EBUSY" }),
    node("route/1"),
    node("route/2", { state: "PENDING" }),
    node("zone/1", { derived: true }),
  ],
  edges: [
    { from: "route/1", to: "link/a", kind: "key", label: "device", met: true },
    { from: "route/2", to: "link/b", kind: "key", label: "device", met: false },
    { from: "route/2", kind: "any-of", label: "uplink", met: false, prefixes: ["bond/", "uplink/"] },
    { from: "zone/1", to: "link/a", kind: "derived", met: true },
  ],
  omitted: 0,
};

const TXN = {
  seq: 7,
  kind: "northbound",
  source: "default",
  description: "ADD",
  mode: "best-effort",
  queuedAt: 0,
  startedAt: 0,
  endedAt: 0,
  planned: [],
  executed: [
    { op: "create", key: "route/1", descriptor: "route", stateBefore: "NONEXISTENT", stateAfter: "CONFIGURED" },
    { op: "delete", key: "route/9", descriptor: "route", stateBefore: "CONFIGURED", stateAfter: "NONEXISTENT" },
    { op: "create", key: "link/b", descriptor: "link", stateBefore: "PENDING", stateAfter: "FAILED", error: "EBUSY" },
  ],
} as const satisfies RecordedTxn;

/** Tag names in the order of opening. @throws Error where the text is no well-formed XML */
function tagsOf(xml: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const text = /[^<&]|&(?:amp|lt|gt|quot);/y;
  const tag = /<(\/?)([a-z]+)((?: [a-z-A-Z]+="(?:[^"<&]|&(?:amp|lt|gt|quot);)*")*)(\/?)>/y;
  for (let at = 0; at < xml.length; ) {
    const token = xml[at] === "<" ? tag : text;
    token.lastIndex = at;
    const found = token.exec(xml);
    if (found === null) throw new Error(`no XML at ${xml.slice(at, at + 60)}`);
    at = token.lastIndex;
    const [, closing, name, , alone] = found;
    if (name === undefined) continue;
    if (closing === "/") {
      if (open.pop() !== name) throw new Error(`</${name}> closes something else`);
    } else {
      seen.push(name);
      if (alone !== "/") open.push(name);
    }
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(", ")}`);
  return seen;
}

const HOSTILE = [
  'link/"><script>alert(1)</script>',
  "link/&amp;\u0000\u001b[31m",
  "link/\\n\\",
  "link/ü—𝒳",
  "link/\ud800",
];

describe("a drawing", () => {
  it("has a box with its tooltip for each value, and a line for each relation", async () => {
    const svg = await drawSvg(pictureOf(VIEW));
    expect(tagsOf(svg).filter((t) => t === "path").length).toBeGreaterThanOrEqual(4);
    expect(svg).toContain("<title>link/b\nFAILED, link\nfailed: EBUSY</title>");
    expect(svg).toContain("<title>route/2\nneeds device: link/b\nnot met</title>");
    expect(svg).toContain("bond/* or uplink/*");
  });

  it("tells kinds of relations and unmet ones apart, and says in a legend what they mean", async () => {
    const svg = await drawSvg(pictureOf(VIEW));
    for (const words of ["derived from", "needs", "needs, and is not there", "needs any of, and none is there"]) {
      expect(svg).toContain(`>${words}</text>`);
    }
    expect(svg).toContain(">PENDING 1</text>");
    expect(svg).not.toContain("RETRYING");
  });

  it("is grouped by descriptor, with what its keys begin with", async () => {
    const svg = await drawSvg(pictureOf(VIEW));
    expect(svg).toContain('<tspan class="title">route</tspan> <tspan class="small">route/</tspan>');
  });

  it("highlights what a transaction touched, what it removed included", async () => {
    const options = { txn: TXN, gone: new Set(["route/9"]) };
    const { figures, title } = pictureOf(VIEW, options);
    expect(title).toContain("highlighted: transaction 7, northbound from default: ADD");
    expect(figures.filter((f) => f.mark).map((f) => [f.id, f.mark?.sign])).toEqual([
      ["link/b", "+!"],
      ["route/1", "+"],
      ["route/9", "-"],
    ]);
    const svg = await drawSvg(pictureOf(VIEW, options));
    expect(svg.match(/stroke="#e07b00" stroke-width="3"/g)).toHaveLength(4); // and the legend's
  });

  it("is the same text for the same graph", async () => {
    expect(await drawSvg(pictureOf(VIEW, { txn: TXN }))).toBe(await drawSvg(pictureOf(VIEW, { txn: TXN })));
    expect(renderDot(pictureOf(VIEW))).toBe(renderDot(pictureOf(VIEW)));
  });

  it("stays well-formed whatever a key is", async () => {
    const nodes = HOSTILE.map((key) => node(key, { value: key }));
    const svg = await drawSvg(pictureOf({ nodes, edges: [], omitted: 0 }));
    expect(tagsOf(svg)).not.toContain("script");
    expect(svg.split("").filter((c) => c < " " && c !== "\n")).toEqual([]);
  });

  it("gives every text room: none is wider than its box", async () => {
    const nodes = [node("link/" + "x".repeat(300)), node("link/y", { state: "UNIMPLEMENTED" }), node("z".repeat(80))];
    const svg = await drawSvg(pictureOf({ nodes, edges: [], omitted: 0 }));
    const boxes = svg.matchAll(/<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="20".*?>(.*?)<\/g>/g);
    let seen = 0;
    for (const [, , width, inner] of boxes) {
      const texts = [...inner!.matchAll(/<text[^>]*>([^<]*)</g)].map((m) => m[1]!.length);
      expect(texts.reduce((sum, n) => sum + n, 0) * 5.5).toBeLessThan(Number(width));
      seen++;
    }
    expect(seen).toBe(3);
  });

  it("says what has been left out", () => {
    expect(pictureOf({ ...VIEW, omitted: 12 }).title).toContain("12 more are left out");
  });
});

describe("Graphviz's text", () => {
  it("has a cluster for each descriptor, and quotes what it must", () => {
    const dot = renderDot(pictureOf({ ...VIEW, nodes: [...VIEW.nodes, node('link/"\\'), node("link/c\nd")] }));
    expect(dot.match(/subgraph cluster_/g)).toHaveLength(4);
    expect(dot).toContain(String.raw`label="\"\\"`);
    expect(dot).toContain(String.raw`label="c\nd"`);
    // Outside of quoted strings, braces balance and nothing is left open.
    const bare = dot.replaceAll(/"(?:[^"\\]|\\.)*"/gs, "");
    expect(bare).not.toContain('"');
    expect(bare.split("{").length).toBe(bare.split("}").length);
  });

  it("draws relations in the direction of need", () => {
    const dot = renderDot(pictureOf(VIEW));
    expect(dot).toMatch(/n2 -> n0 \[color="#33507a", style=solid/);
    expect(dot).toMatch(/n4 -> n0 \[color="#7a869a", style=dotted/);
    expect(dot).toMatch(/n3 -> n5 \[color="#d0342c", style=dashed/);
  });
});
