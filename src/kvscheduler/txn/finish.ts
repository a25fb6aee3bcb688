import type { Key } from "../api/descriptor.ts";
import { isHeld, SuspendedError } from "../api/errors.ts";
import type { TxnOutcome } from "../api/stats.ts";
import type { ValueState } from "../api/status.ts";
import { isWanted, type Node, stateOf } from "../graph/node.ts";
import { isMet } from "./goals.ts";
import type { ProcessDeps, Processed, StatusChange, Work } from "./process.ts";
import type { TxnRecord } from "./record.ts";
import { sortInSteps } from "./sort.ts";
import type { Staging } from "./staging.ts";
import { due, type Steps } from "./turn.ts";

/** Collects what became of the keys of a transaction. */
export function* finish(
  deps: Pick<ProcessDeps, "isWatched" | "settings">,
  staging: Staging,
  record: TxnRecord,
  work: Work,
): Steps<Processed> {
  const { seq, graph } = staging;
  const errors = new Map<Key, Error>();
  const pending: Key[] = [];
  const retries: Node[] = [];
  const changed: StatusChange[] = [];
  const dry = work.dryRun === true;
  const watched = !dry && deps.isWatched();
  const ofThis = (n: Node): boolean => work.kind !== "northbound" || work.resync === "downstream" || isNamed(n, seq);
  for (const n of staging.touched) {
    if (due()) yield;
    if (n.trouble?.kind === "failed" && !n.present && !isWanted(n)) n.trouble = undefined; // nothing left that could fail
    if (!n.goal) n.missing = false; // it waits for something else now
    const trouble = n.trouble;
    if (trouble !== undefined && trouble.seq === seq) {
      // A key that is held is tried again by whoever knows when: the suspension's end, or the late operation's.
      if (trouble.error instanceof SuspendedError) deps.settings.suspensions.wait(n);
      else if (trouble.retrying && !isHeld(trouble.error)) retries.push(n);
      if (ofThis(n)) errors.set(n.key, trouble.error);
    }
    const state = stateOf(n);
    // In a dry run what is to be in place is not there yet, but does not wait for anything.
    if (state === "PENDING" && !(dry && n.goal) && ofThis(n)) pending.push(n.key);
    if (!dry) setSince(staging, n, state);
    if (watched && state !== n.before) changed.push(changeOf(n, state));
  }
  if (staging.reverted !== undefined) for (const [n, error] of staging.reverted) errors.set(n.key, error);
  if (!dry) yield* graph.sweep(); // only after everything has been put back
  const sorted = pending.length < 2 ? pending : yield* sortInSteps(pending, (a, b) => (a < b ? -1 : 1));
  return { seq, errors, pending: sorted, record, outcome: outcomeOf(staging, errors, dry), retries, changed };
}

function outcomeOf(staging: Staging, errors: ReadonlyMap<Key, Error>, dry: boolean): TxnOutcome {
  if (dry) return "dry-run";
  if (staging.reverted !== undefined) return "reverted";
  return errors.size > 0 ? "failed" : "ok";
}

/** Since when each dependency of a pending value is not met; a value that is not pending waits for none. */
function setSince(staging: Staging, n: Node, state: ValueState): void {
  const { deps } = n.deps;
  if (state !== "PENDING") {
    for (const dep of deps) dep.since = 0;
    return;
  }
  for (const dep of deps) {
    if (isMet(staging.graph, dep, (t) => t.goal)) dep.since = 0;
    else if (dep.since === 0) dep.since = staging.wall;
  }
}

/** What is no more because its base or the southbound let it go is reported as removed, once. */
function changeOf(n: Node, state: ValueState): StatusChange {
  const removed = state === "NONEXISTENT" && (n.before === "OBTAINED" || n.named !== n.touched);
  return { node: n, state: removed ? "REMOVED" : state, previous: n.before };
}

/** Whether the transaction named the key, or what it is derived from. */
function isNamed(n: Node, seq: number): boolean {
  for (let x: Node | undefined = n; x !== undefined; x = x.claims?.[0]?.base ?? x.actualDeps.base) {
    if (x.named === seq) return true;
  }
  return false;
}
