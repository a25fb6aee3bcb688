import { cpus, release, totalmem } from "node:os";
import { renderRows } from "../src/cli/output.ts";
import type { Judged, Target } from "./figure.ts";
import { rounded } from "./stats.ts";

/** What `bench/results/*.json` holds. */
export interface Report {
  readonly at: string;
  readonly quick: boolean;
  readonly machine: {
    readonly cpus: number;
    readonly model: string;
    readonly memoryMiB: number;
    readonly kernel: string;
    readonly node: string;
  };
  readonly figures: readonly Judged[];
}

export function makeReport(figures: readonly Judged[], quick: boolean): Report {
  const processors = cpus();
  return {
    at: new Date().toISOString(),
    quick,
    machine: {
      cpus: processors.length,
      model: processors[0]?.model ?? "unknown",
      memoryMiB: Math.round(totalmem() / 2 ** 20),
      kernel: release(),
      node: process.version,
    },
    figures,
  };
}

const targetText = ({ of, op, bound }: Target, unit: string): string =>
  of === "ratio" ? `ratio ${op} ${bound}` : `${op} ${bound} ${unit}`;

/** Two decimals, unless they would be zeros. */
const ratioText = (ratio: number): string => (ratio < 0.1 ? rounded(ratio) : ratio.toFixed(2));

/** A line for each figure, then what the numbers alone do not say. */
export async function renderReport(report: Report): Promise<string> {
  const rows = report.figures.map((f) => [
    f.name,
    `${rounded(f.value)} ${f.unit}`,
    f.peer ? `${rounded(f.peer.value)} ${f.unit} (${f.peer.name})` : "",
    f.ratio === undefined ? "" : ratioText(f.ratio),
    f.target ? targetText(f.target, f.unit) : "",
    f.verdict,
    f.samples,
  ]);
  const table = await renderRows([["FIGURE", "VALUE", "PEER", "RATIO", "TARGET", "VERDICT", "SAMPLES"], ...rows]);
  const notes = report.figures.flatMap((f) => [
    ...Object.entries(f.notes ?? {}).map(([what, value]) => `${f.name}: ${what}: ${value}`),
    ...(f.wrong ?? []).slice(0, 5).map((what) => `${f.name}: WRONG: ${what}`),
  ]);
  const met = report.figures.filter((f) => f.verdict === "met").length;
  const asked = report.figures.filter((f) => f.verdict !== "reported").length;
  return `${table}\n\n${notes.join("\n")}\n\n${met} of ${asked} met`;
}
