import { ECHO_PORT, type ProbeResult, type Prober } from "../probe/client.ts";
import { type Cell, type CellResult, judge } from "./cells.ts";

/** A probe that has not answered by then only waits: it no longer disturbs the others' latencies. */
const WAITING_AFTER_MS = 20;
/** Probes that may be on their way at once, the ones that only wait included. */
const MAX_OUTSTANDING = 400;

export interface RunCellsOptions {
  /** Milliseconds until a probe counts as unanswered. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  readonly onResult?: (result: CellResult) => void;
}

/**
 * Tries every cell, in order. Quick answers are taken one after the other, so that their latencies are a lone probe's;
 * silence is waited for side by side, so that a broken cluster does not take an hour to report.
 */
export async function runCells(
  prober: Prober,
  cells: readonly Cell[],
  options: RunCellsOptions = {},
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  const outstanding = new Set<Promise<void>>();
  const tryOne = async (cell: Cell, index: number): Promise<void> => {
    const result = judge(cell, await tryCell(prober, cell, options.timeoutMs ?? 1000));
    results[index] = result;
    options.onResult?.(result);
  };
  for (const [index, cell] of cells.entries()) {
    options.signal?.throwIfAborted();
    const done: Promise<void> = tryOne(cell, index).finally(() => outstanding.delete(done));
    outstanding.add(done);
    await Promise.race([done, after(WAITING_AFTER_MS)]);
    if (outstanding.size >= MAX_OUTSTANDING) await Promise.race(outstanding);
  }
  await Promise.all(outstanding);
  return results;
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}

async function tryCell(prober: Prober, cell: Cell, timeoutMs: number): Promise<ProbeResult | "no address"> {
  if (cell.address === undefined) return "no address";
  return prober.probe(cell.protocol, cell.from.netns, cell.address, { port: ECHO_PORT, timeoutMs });
}
