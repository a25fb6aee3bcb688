import { copyGraph } from "../graph/copy.ts";
import type { Graph } from "../graph/graph.ts";
import { Node } from "../graph/node.ts";
import { finish } from "./finish.ts";
import { Journal } from "./journal.ts";
import { Planner } from "./plan.ts";
import type { ProcessDeps, Processed, Work } from "./process.ts";
import { TxnRecord } from "./record.ts";
import { Staging } from "./staging.ts";
import { atOnce, due, inTurns, type Steps, type Turn } from "./turn.ts";

/** So many yields are tried in any case: two thousand steps, a few milliseconds. */
const FEW_YIELDS = 64;
/** Nodes; all of them have to be put back in one go, too. */
const MAX_TRIED = 1000;

/**
 * Plans, and leaves everything as it was. What it costs depends on what the transaction touches: the graph itself is
 * changed and put back, in one go, so that nobody sees it. What takes longer than that may, or has to read the
 * southbound first, is tried on a copy of the graph.
 */
export async function processDry(
  deps: ProcessDeps,
  seq: number,
  work: Work,
  firstRefresh: boolean,
): Promise<Processed> {
  const { clock, turn } = deps.settings;
  const reads = work.resync === "full" || work.resync === "downstream";
  const startedAt = clock.wall();
  const record = new TxnRecord(work, seq, startedAt);
  let result: Processed | undefined;
  if (!reads) {
    const { graph } = deps;
    const before = graph.visited;
    const journal = new Journal();
    const staging = new Staging(graph, seq, startedAt, journal, deps.log);
    result = tried(turn, staging, planned(deps, staging, record, work));
    journal.restore(graph, true);
    atOnce(graph.sweep());
    record.nodesVisited = graph.visited - before;
  }
  if (result === undefined) {
    const graph = await inTurns(turn, copyGraph(deps.graph));
    const staging = new Staging(graph, seq, startedAt, undefined, deps.log);
    await inTurns(turn, work.stage(staging));
    if (reads) {
      const unread = await deps.refresh.all(staging, firstRefresh);
      if (unread.length > 0) record.unread = unread;
    }
    if (work.afterRefresh !== undefined) await inTurns(turn, work.afterRefresh(staging));
    result = await inTurns(turn, plannedOn(deps, staging, record, work));
    record.nodesVisited = graph.visited;
    await inTurns(turn, detach(record, deps.graph));
  }
  await inTurns(turn, record.end([], clock.wall()));
  return result;
}

function* planned(deps: ProcessDeps, staging: Staging, record: TxnRecord, work: Work): Steps<Processed> {
  yield* work.stage(staging);
  if (work.afterRefresh !== undefined) yield* work.afterRefresh(staging);
  return yield* plannedOn(deps, staging, record, work);
}

function* plannedOn(deps: ProcessDeps, staging: Staging, record: TxnRecord, work: Work): Steps<Processed> {
  record.setPlanned(yield* new Planner(staging).plan());
  return yield* finish(deps, staging, record, work);
}

/** The result, or undefined if it would take too long to do it at one go. What a few steps do is never given up: on a busy
 * machine a copy of a large graph would only take longer. */
function tried<T>(turn: Turn, staging: Staging, steps: Steps<T>): T | undefined {
  for (let yields = 0; ; yields++) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if ((yields > FEW_YIELDS && turn.isLong()) || staging.touched.length > MAX_TRIED) {
      steps.return(undefined as T);
      return undefined;
    }
  }
}

/** The history must not keep a whole copy of the graph alive. */
function* detach(record: TxnRecord, graph: Graph): Steps<void> {
  for (const op of record.plannedOps) {
    if (due()) yield;
    const { key, descriptor } = op.node;
    op.node = graph.nodes.get(key) ?? new Node(key, descriptor);
  }
}
