import type { CellResult, Family, Protocol } from "./cells.ts";
import { FAMILIES, PROTOCOLS } from "./cells.ts";

/** What the demo found; `-o json` prints it as it is. */
export interface DemoReport {
  /** Whether every cell was as expected and nothing was left. */
  readonly ok: boolean;
  /** As the agents themselves say: one name, or several if they differ. */
  readonly dataplane: string;
  readonly store: string;
  readonly nodes: readonly string[];
  readonly pods: readonly {
    readonly name: string;
    readonly node: string;
    readonly ips: readonly string[];
    readonly addMs: number;
  }[];
  readonly cells: readonly CellReport[];
  /** Everything that was not as it should be, one sentence each, cells first. */
  readonly problems: readonly string[];
  /** Of them, those that are things left behind, or missing, afterwards. */
  readonly left: readonly string[];
  /** False when `--keep` left the lab up. */
  readonly removed: boolean;
  readonly seconds: number;
}

export interface CellReport {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly address: string | undefined;
  readonly expected: "open" | "closed";
  readonly actual: "open" | "closed";
  readonly ok: boolean;
  readonly us: number | undefined;
  readonly seenAs: string | undefined;
  readonly wrong: string | undefined;
}

export function cellReport(result: CellResult): CellReport {
  const { cell, actual, us, seenAs, wrong } = result;
  const { id, protocol, family, address, expected } = cell;
  const names = { from: cell.from.name, to: cell.to.name };
  return { id, ...names, protocol, family, address, expected, actual, ok: wrong === undefined, us, seenAs, wrong };
}

/** `85µs`, `1.2ms` */
export function formatMicros(us: number): string {
  return us < 1000 ? `${Math.round(us)}µs` : `${(us / 1000).toFixed(us < 10_000 ? 1 : 0)}ms`;
}

export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

/** Widest matrix that is printed cell by cell; above that, node by node. */
const MAX_COLUMNS = 8;

/** Wrong cells that are named for people; the rest is counted. Things left behind are all named. */
const MAX_CELLS_NAMED = 30;

/** Lines of aligned columns. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

function cellText(cells: readonly CellReport[]): string {
  if (cells.length === 0) return "-";
  const wrong = cells.filter((c) => !c.ok).map((c) => c.protocol);
  if (wrong.length > 0) return `WRONG(${wrong.join(",")})`;
  return PROTOCOLS.map((p) => cells.find((c) => c.protocol === p))
    .map((c) => (c?.us === undefined ? "-" : formatMicros(c.us)))
    .join("/");
}

/** Groups the values of a list by a key, in order of first appearance. */
function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item));
    if (group) group.push(item);
    else groups.set(key(item), [item]);
  }
  return groups;
}

function podMatrix(report: DemoReport, family: Family): string[] {
  const names = report.pods.map((p) => p.name);
  const index = groupBy(
    report.cells.filter((c) => c.family === family),
    (c) => `${c.from}>${c.to}`,
  );
  const heading = [family === "ipv4" ? "IPv4" : "IPv6", ...names];
  const row = (from: string): string[] => [from, ...names.map((to) => cellText(index.get(`${from}>${to}`) ?? []))];
  return align([heading, ...names.map(row)]);
}

function summaryRow(label: string, cells: readonly CellReport[]): string[] {
  const part = (protocol: Protocol): string => {
    const of = cells.filter((c) => c.protocol === protocol);
    const middle = median(of.flatMap((c) => (c.us === undefined ? [] : [c.us])));
    return `${of.filter((c) => c.ok).length}/${of.length} ${middle === undefined ? "" : formatMicros(middle)}`.trim();
  };
  return [label, ...PROTOCOLS.map(part)];
}

const PROTOCOL_NAMES: Readonly<Record<Protocol, string>> = { tcp: "TCP", udp: "UDP", icmp: "ping" };

function otherCells(report: DemoReport): string[] {
  const nodeOf = new Map(report.pods.map((p) => [p.name, p.node]));
  const kind = (c: CellReport): string => {
    if (nodeOf.has(c.from) && nodeOf.has(c.to)) {
      return report.pods.length <= MAX_COLUMNS ? "" : `pods of ${nodeOf.get(c.from)} → pods of ${nodeOf.get(c.to)}`;
    }
    if (c.to === "outside") return "pods → outside, seen as their node";
    if (nodeOf.has(c.from)) return "pods → own node";
    return nodeOf.get(c.to) === c.from ? "node → own pods" : "nodes → pods of other nodes";
  };
  const rows: string[][] = [["", ...PROTOCOLS.map((p) => PROTOCOL_NAMES[p])]];
  for (const [label, cells] of groupBy(report.cells, kind)) {
    if (label === "") continue;
    for (const family of FAMILIES) {
      const of = cells.filter((c) => c.family === family);
      if (of.length > 0) rows.push(summaryRow(`${label}, ${family === "ipv4" ? "IPv4" : "IPv6"}`, of));
    }
  }
  return align(rows);
}

/** The report for people. */
export function formatReport(report: DemoReport): string {
  const lines: string[] = [];
  if (report.cells.length > 0) {
    lines.push("Round trips: TCP handshake / UDP echo / ping, from the row's pod to the column's", "");
    if (report.pods.length <= MAX_COLUMNS) {
      for (const family of FAMILIES) lines.push(...podMatrix(report, family), "");
    }
    lines.push(...otherCells(report), "");
  }
  lines.push(
    `dataplane ${report.dataplane}, store ${report.store}, ${report.nodes.length} nodes, ${report.pods.length} pods`,
  );
  const good = report.cells.filter((c) => c.ok).length;
  lines.push(`${good} of ${report.cells.length} cells as expected; ${removal(report)}; ${report.seconds.toFixed(1)} s`);
  const wrong = report.cells.length - good;
  for (const problem of report.problems.slice(0, Math.min(wrong, MAX_CELLS_NAMED))) lines.push(`  ${problem}`);
  if (wrong > MAX_CELLS_NAMED) lines.push(`  … and ${wrong - MAX_CELLS_NAMED} more cells (-o json has them all)`);
  for (const problem of report.problems.slice(wrong)) lines.push(`  ${problem}`);
  lines.push(report.ok ? "OK" : "FAILED");
  return lines.join("\n");
}

function removal(report: DemoReport): string {
  if (report.left.length > 0) return `${report.left.length} things left behind or missing`;
  return report.removed ? "nothing left behind" : "the lab is left up, as asked";
}
