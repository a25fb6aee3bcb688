import { type Frame, type Line, layOut, type Rect, TITLE_HEIGHT } from "../layout/layout.ts";
import { inSlices, type Steps } from "../slices.ts";
import { HIGHLIGHT, LINE_LOOKS, STATE_COLOURS } from "./colours.ts";
import { legend, legendHeight } from "./legend.ts";
import type { EdgeStyle, Figure, Picture } from "./picture.ts";
import { cut, escapeXml, textWidth } from "./xml.ts";

/** Longer labels lose their middle; the tooltip has all of it. */
const MAX_LABEL = 52;
const PAD = 16;

/** The picture as SVG. The same picture gives the same text. Large ones are drawn in slices. @throws TooDenseError */
export function drawSvg(picture: Picture): Promise<string> {
  return inSlices(renderSvg(picture));
}

function* renderSvg(picture: Picture): Steps<string> {
  const { figures, connections, prefixes } = picture;
  const groupWidths = new Map<string, number>();
  for (const { group } of figures) {
    // A title must fit into its frame: every box of the group is as wide as the title at least.
    if (!groupWidths.has(group)) groupWidths.set(group, titleWidth(group, prefixes.get(group)));
  }
  const boxes = figures.map((f) => ({ group: f.group, width: Math.max(boxWidth(f), groupWidths.get(f.group)!) }));
  const layout = yield* layOut(boxes, connections);
  const top = legendHeight(picture) + PAD;
  const width = Math.ceil(Math.max(layout.width, 1100) + 2 * PAD);
  const height = Math.ceil(layout.height + top + PAD);
  yield;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
    `<title>${escapeXml(picture.title)}</title>`,
    STYLE,
    markers(),
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    legend(picture, PAD, width - 2 * PAD),
    `<g transform="translate(${PAD},${top})">`,
    ...layout.frames.map((f) => frame(f, prefixes.get(f.group))),
    ...linesOf(picture, layout.lines),
    ...figures.map((f, i) => box(f, layout.boxes[i]!)),
    "</g>",
    "</svg>",
    "",
  ].join("\n");
}

const STYLE = `<style>
text { font: 11px monospace; fill: #1d2733; }
.small { font-size: 9px; fill: #56616f; }
.title { font-weight: bold; }
.line { fill: none; }
.line:hover { stroke-width: 3; }
</style>`;

/** An arrow for each colour of lines; it points along the path. */
function markers(): string {
  const colours = new Set(Object.values(LINE_LOOKS).map((look) => look.colour));
  const one = (colour: string): string =>
    `<marker id="arrow-${colour.slice(1)}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" ` +
    `markerUnits="userSpaceOnUse" orient="auto-start-reverse"><path d="M0 0.5 8 4 0 7.5z" fill="${colour}"/></marker>`;
  return `<defs>${[...colours].map(one).join("")}</defs>`;
}

function frame({ group, x, y, width, height }: Frame, prefix: string | undefined): string {
  const rest = prefix === undefined ? "" : ` <tspan class="small">${escapeXml(cut(prefix, MAX_LABEL))}</tspan>`;
  return (
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="5" fill="#f5f7fa" stroke="#cfd6df"/>` +
    `<text x="${x + 7}" y="${y + TITLE_HEIGHT - 6}"><tspan class="title">${escapeXml(group)}</tspan>${rest}</text>`
  );
}

function box({ label, state, mark, tooltip }: Figure, { x, y, width, height }: Rect): string {
  const { fill, stroke } = STATE_COLOURS[state];
  const dashed = state === "NONEXISTENT" || state === "REMOVED" ? ' stroke-dasharray="4 2"' : "";
  const outline = mark === undefined ? `stroke="${stroke}"` : `stroke="${HIGHLIGHT}" stroke-width="3"`;
  const base = y + height - 6;
  const parts = [
    `<g><title>${escapeXml(tooltip)}</title>`,
    `<rect x="${x}" y="${y}" width="${width}" height="${height}" rx="4" fill="${fill}" ${outline}${dashed}/>`,
  ];
  let at = x + 7;
  if (mark !== undefined) {
    parts.push(`<text x="${at}" y="${base}" class="title" fill="${HIGHLIGHT}">${escapeXml(mark.sign)}</text>`);
    at += textWidth(mark.sign, 11) + 5;
  }
  parts.push(`<text x="${at}" y="${base}">${escapeXml(cut(label, MAX_LABEL))}</text>`);
  const badge = badgeOf(state);
  if (badge !== "") {
    parts.push(`<text x="${x + width - 6}" y="${base}" class="small" text-anchor="end">${badge}</text>`);
  }
  parts.push("</g>");
  return parts.join("");
}

/** States other than the usual one are written out. */
const badgeOf = (state: Figure["state"]): string => (state === "CONFIGURED" ? "" : state);

function boxWidth({ label, state, mark }: Figure): number {
  const badge = badgeOf(state);
  return (
    14 +
    textWidth(cut(label, MAX_LABEL), 11) +
    (badge === "" ? 0 : 8 + textWidth(badge, 9)) +
    (mark === undefined ? 0 : textWidth(mark.sign, 11) + 5)
  );
}

function titleWidth(group: string, prefix: string | undefined): number {
  const rest = prefix === undefined ? 0 : textWidth(` ${cut(prefix, MAX_LABEL)}`, 9) + 6;
  return textWidth(group, 11) + rest + 4;
}

/** Lines; where a transaction is highlighted, those between what it touched come last, and the others fade. */
function linesOf({ figures, connections }: Picture, lines: readonly Line[]): string[] {
  const draw = (l: Line): string =>
    line(
      l,
      l.links.map((i) => connections[i]!.tooltip),
    );
  if (figures.every((f) => f.mark === undefined)) return lines.map(draw);
  const isTouched = ({ links }: Line): boolean =>
    links.some((i) => figures[connections[i]!.from]!.mark && figures[connections[i]!.to]!.mark);
  return [
    '<g opacity="0.35">',
    ...lines.filter((l) => !isTouched(l)).map(draw),
    "</g>",
    ...lines.filter(isTouched).map(draw),
  ];
}

function line({ points, style, arrow }: Line, tooltips: readonly string[]): string {
  const { colour, width, dash } = LINE_LOOKS[style as EdgeStyle];
  const [a, b, c, d] = points as readonly [Point, Point, Point, Point];
  const bend = (c[0] - b[0]) / 2;
  const path =
    b[1] === c[1]
      ? `M${at(a)}L${at(d)}`
      : `M${at(a)}L${at(b)}C${at([b[0] + bend, b[1]])} ${at([c[0] - bend, c[1]])} ${at(c)}L${at(d)}`;
  const marker = `url(#arrow-${colour.slice(1)})`;
  const end = arrow === undefined ? "" : ` marker-${arrow === "left" ? "start" : "end"}="${marker}"`;
  const dashes = dash === undefined ? "" : ` stroke-dasharray="${dash}"`;
  const shown = tooltips.length > 5 ? [...tooltips.slice(0, 5), `and ${tooltips.length - 5} more`] : tooltips;
  return (
    `<path class="line" d="${path}" stroke="${colour}" stroke-width="${width}"${dashes}${end}>` +
    `<title>${escapeXml(shown.join("\n\n"))}</title></path>`
  );
}

type Point = readonly [number, number];
const at = ([x, y]: Point): string => `${Math.round(x * 10) / 10} ${y}`;
