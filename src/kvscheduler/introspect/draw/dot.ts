import { HIGHLIGHT, LINE_LOOKS, STATE_COLOURS } from "./colours.ts";
import type { EdgeStyle, Figure, Picture } from "./picture.ts";

/** The graph in Graphviz's language, a cluster for each descriptor: `dot -Tpng`. */
export function renderDot({ title, figures, connections, prefixes }: Picture): string {
  const lines = [
    "digraph scheduler {",
    "  rankdir=RL; ranksep=1.2; nodesep=0.08;",
    `  label=${quote(title)}; labelloc=t; fontname="sans-serif";`,
    '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=10, height=0.25, margin="0.08,0.02"];',
    "  edge [arrowsize=0.6];",
  ];
  const groups = [...new Set(figures.map((f) => f.group))].sort();
  for (const [n, group] of groups.entries()) {
    const prefix = prefixes.get(group);
    const label = prefix === undefined ? group : `${group}: ${prefix}`;
    lines.push(`  subgraph cluster_${n} {`, `    label=${quote(label)}; style=rounded; color="#c5ccd6";`);
    for (const [i, figure] of figures.entries()) {
      if (figure.group === group) lines.push(`    n${i} [${nodeAttributes(figure)}];`);
    }
    lines.push("  }");
  }
  for (const { from, to, style, tooltip } of connections) {
    lines.push(`  n${from} -> n${to} [${edgeLook(style, tooltip)}];`);
  }
  lines.push("}");
  return `${lines.join("\n")}\n`;
}

function nodeAttributes({ label, state, mark, tooltip }: Figure): string {
  const { fill, stroke } = STATE_COLOURS[state];
  const words = [mark?.sign, label, state === "CONFIGURED" ? undefined : state].filter((w) => w !== undefined);
  const attributes = [`label=${quote(words.join(" "))}`, `tooltip=${quote(tooltip)}`, `fillcolor="${fill}"`];
  attributes.push(mark === undefined ? `color="${stroke}"` : `color="${HIGHLIGHT}", penwidth=2.5`);
  if (state === "NONEXISTENT" || state === "REMOVED") attributes.push('style="rounded,filled,dashed"');
  return attributes.join(", ");
}

function edgeLook(style: EdgeStyle, tooltip: string): string {
  const { colour } = LINE_LOOKS[style];
  const line = style.endsWith("derived") ? "dotted" : style.endsWith("any-of") ? "dashed" : "solid";
  return `color="${colour}", style=${line}, tooltip=${quote(tooltip)}`;
}

/** A string of the language: `"` is escaped, and a backslash, which would begin an escape. */
function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
