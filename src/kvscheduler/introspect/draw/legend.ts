import type { ValueState } from "../../api/status.ts";
import { HIGHLIGHT, LINE_LOOKS, STATE_COLOURS } from "./colours.ts";
import type { EdgeStyle, Picture } from "./picture.ts";
import { cut, escapeXml, textWidth } from "./xml.ts";

const ROW = 22;

/** Pixels of {@link legend}. */
export function legendHeight(picture: Picture): number {
  return ROW * (entries(picture).lines.length > 0 ? 4 : 3);
}

/** What the picture shows, and what its colours and lines mean: only those that occur. */
export function legend(picture: Picture, x: number, width: number): string {
  const { states, lines, marked } = entries(picture);
  const title = cut(picture.title, Math.floor(width / textWidth("m", 11)));
  const parts = [`<text x="${x}" y="${ROW}" class="title">${escapeXml(title)}</text>`];
  let at = x;
  for (const [state, count] of states) {
    const { fill, stroke } = STATE_COLOURS[state];
    const label = `${state} ${count}`;
    parts.push(
      `<rect x="${at}" y="${ROW + 12}" width="14" height="12" rx="3" fill="${fill}" stroke="${stroke}"/>`,
      `<text x="${at + 19}" y="${2 * ROW}">${label}</text>`,
    );
    at += 19 + textWidth(label, 11) + 18;
  }
  if (marked) {
    const label = "touched by the transaction: + made, ~ changed, - removed, = not sent, ! failed";
    parts.push(
      `<rect x="${at + 1}" y="${ROW + 12}" width="14" height="12" rx="3" fill="#fff" stroke="${HIGHLIGHT}" stroke-width="3"/>`,
      `<text x="${at + 22}" y="${2 * ROW}">${label}</text>`,
    );
  }
  at = x;
  for (const style of lines) {
    const { colour, dash, width: stroke, means } = LINE_LOOKS[style];
    const dashes = dash === undefined ? "" : ` stroke-dasharray="${dash}"`;
    const y = 3 * ROW - 4;
    parts.push(
      `<path class="line" d="M${at} ${y}H${at + 34}" stroke="${colour}" stroke-width="${stroke}"${dashes} ` +
        `marker-start="url(#arrow-${colour.slice(1)})"/>`,
      `<text x="${at + 41}" y="${3 * ROW}">${means}</text>`,
    );
    at += 41 + textWidth(means, 11) + 22;
  }
  return parts.join("\n");
}

function entries({ figures, connections }: Picture): {
  readonly states: readonly (readonly [ValueState, number])[];
  readonly lines: readonly EdgeStyle[];
  readonly marked: boolean;
} {
  const counts = new Map<ValueState, number>();
  for (const { state } of figures) counts.set(state, (counts.get(state) ?? 0) + 1);
  const used = new Set(connections.map((c) => c.style));
  return {
    states: (Object.keys(STATE_COLOURS) as ValueState[])
      .filter((s) => counts.has(s))
      .map((s) => [s, counts.get(s)!] as const),
    lines: (Object.keys(LINE_LOOKS) as EdgeStyle[]).filter((s) => used.has(s)),
    marked: figures.some((f) => f.mark !== undefined),
  };
}
