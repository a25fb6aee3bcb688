import type { Clock } from "../../base/clock/clock.ts";
import type { Key } from "../api/descriptor.ts";
import { BadTransactionError } from "../api/errors.ts";
import type { RetryOptions, Txn } from "../api/scheduler.ts";
import { freeze } from "../graph/freeze.ts";
import { isWanted, NO_DEPS, type Node, type Source } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import type { LateKey } from "./effect.ts";
import type { Work } from "./process.ts";
import type { Refresh } from "./refresh.ts";
import type { Ticket } from "./retry.ts";
import type { Sources } from "./sources.ts";
import type { Staging } from "./staging.ts";
import { Truth } from "./truth.ts";
import { due, eachInSteps, type Steps } from "./turn.ts";

export type Change = readonly [key: Key, value: unknown];

/**
 * A copy of what is asked for by {@link Txn}, checked as far as the transaction itself goes.
 * @throws BadTransactionError
 */
export function checkTxn(txn: Txn): Change[] {
  const changes: Change[] = [];
  for (const change of txn.changes ?? []) {
    const [key, value] = change;
    if (typeof key !== "string" || key === "") {
      throw new BadTransactionError("a key must be a string that is not empty");
    }
    if (value === null) throw new BadTransactionError(`${key}: null is not a value; undefined deletes`);
    changes.push([key, value]);
  }
  if (txn.resync === "downstream" && changes.length > 0) {
    throw new BadTransactionError("a downstream resync takes no changes; use full, or a transaction of its own");
  }
  if (txn.resync !== undefined && txn.mode === "atomic") {
    throw new BadTransactionError("a resync cannot be atomic: there is no earlier state to go back to");
  }
  return changes;
}

export function northboundWork(
  txn: Txn,
  changes: readonly Change[],
  context: { source: Source; sources: Sources; clock: Clock },
): Work {
  const { source, sources, clock } = context;
  const { resync } = txn;
  return {
    kind: "northbound",
    source: source.name,
    description: txn.description,
    resync,
    mode: txn.mode ?? "best-effort",
    dryRun: txn.dryRun === true,
    queuedAt: clock.wall(),
    // Not generators themselves: the first call of each new one would cost more than the rest of a small transaction.
    stage: (staging) => stageChanges(staging, txn, changes, source),
    afterRefresh:
      resync === undefined
        ? undefined
        : (staging) =>
            sources.mayDiscard(resync === "downstream" ? undefined : source)
              ? judgeDiscovered(staging, txn.retry)
              : nothing(),
  };
}

function* stageChanges(staging: Staging, txn: Txn, changes: readonly Change[], source: Source): Steps<void> {
  const { graph } = staging;
  const { resync } = txn;
  /** The keys of a whole state: what the source does not name any more goes. */
  const stated = resync === undefined ? undefined : new Set<Node>();
  for (const [key, value] of changes) {
    if (due()) yield;
    const n = value === undefined ? graph.nodes.get(key) : graph.ensure(key);
    if (n === undefined) continue;
    staging.touch(n);
    if (value !== undefined) stated?.add(n);
    n.attempts = 0;
    n.retry = txn.retry; // of a removal, too
    freeze(value);
    staging.own(n, source, value);
  }
  if (stated === undefined) return;
  yield* eachInSteps([...graph.nodes.values()], (n) => {
    graph.visited++;
    const owns = n.owner === source || n.others?.some((o) => o.source === source) === true;
    const ends = resync !== "downstream" && owns && !stated.has(n);
    if (ends || (resync === "downstream" && txn.retry !== undefined)) {
      staging.touch(n);
      n.attempts = 0;
      n.retry = txn.retry;
    }
    if (ends) staging.own(n, source, undefined);
    else if (n.trouble?.kind === "failed") retryNow(staging, n);
  });
}

function* nothing(): Steps<void> {}

/** What was found, and nobody has asked for, is not kept any longer. */
function* judgeDiscovered(staging: Staging, retry?: RetryOptions): Steps<void> {
  yield* eachInSteps([...staging.graph.nodes.values()], (n) => {
    staging.graph.visited++;
    if (!n.discovered) return;
    staging.touch(n);
    n.discovered = false;
    n.retry ??= retry;
    if (!isWanted(n)) staging.resolve(n);
  });
}

/** A source that was expected has not come: what was kept for it is judged without it. */
export function graceWork(names: readonly string[], clock: Clock): Work {
  return {
    kind: "grace",
    source: "scheduler",
    description: `did not come in time: ${names.join(", ")}`,
    mode: "best-effort",
    queuedAt: clock.wall(),
    stage: (staging) => judgeDiscovered(staging),
  };
}

/** Tries again what has failed, as far as it is still the same failure. */
export function retryWork(tickets: readonly Ticket[], clock: Clock): Work {
  return {
    kind: "retry",
    source: "scheduler",
    mode: "best-effort",
    queuedAt: clock.wall(),
    *stage(staging) {
      for (const { node, trouble } of tickets) {
        if (due()) yield;
        if (node.trouble === trouble) retryNow(staging, node);
      }
    },
  };
}

function retryNow(staging: Staging, n: Node): void {
  staging.touch(n);
  staging.resolve(n);
  staging.markDirty(n);
}

/** A descriptor has come: takes up the values that waited for it. */
export function unimplementedWork(entry: Entry, nodes: readonly Node[], clock: Clock): Work {
  return {
    kind: "unimplemented",
    source: entry.name,
    mode: "best-effort",
    queuedAt: clock.wall(),
    *stage(staging) {
      for (const n of nodes) {
        if (due()) yield;
        if (n.descriptor !== undefined) continue;
        staging.touch(n);
        n.descriptor = entry;
        // As a property it was there with its base; now somebody has to make it.
        n.present = false;
        n.actual = undefined;
        staging.graph.setActualDeps(n, NO_DEPS);
        staging.graph.setDeps(n, NO_DEPS);
        n.eff = undefined;
        if (n.goal) {
          n.goal = false;
          staging.graph.forEachDependent(n, (d) => staging.markDirty(d));
        }
        staging.markDirty(n);
        if (isWanted(n)) staging.resolve(n);
      }
    },
  };
}

/** What the southbound tells. Each entry is judged by itself. */
export function notificationWork(changes: ReadonlyMap<Key, unknown>, clock: Clock): Work {
  return {
    kind: "notification",
    source: "southbound",
    mode: "best-effort",
    queuedAt: clock.wall(),
    *stage(staging) {
      const { graph } = staging;
      const truth = new Truth(staging, -1, false);
      for (const [key, value] of changes) {
        if (due()) yield;
        if (graph.registry.forKey(key) === undefined) continue;
        const n = value == null ? graph.nodes.get(key) : graph.ensure(key);
        if (n === undefined || isWanted(n)) continue;
        if (value != null) truth.told(n, value);
        else truth.lost(n); // also if we were about to remove it
      }
    },
  };
}

/** An operation that had outlived its deadline has ended: what has become of it? */
export function lateWork(keys: readonly LateKey[], refresh: Refresh, clock: Clock): Work {
  return {
    kind: "late",
    source: "scheduler",
    mode: "best-effort",
    queuedAt: clock.wall(),
    async prepare(staging) {
      const unsure: Node[] = [];
      for (const { node, landed } of keys) {
        staging.touch(node);
        node.late = false;
        staging.graph.mayBeIdle(node);
        // What has waited for the end of a removal that had no effect.
        if (node.trouble?.op === "delete") staging.graph.forEachDependent(node, (d) => staging.markDirty(d));
        if (isReadable(node) || landed === undefined) {
          if (node.unsure) unsure.push(node);
        } else {
          landed(); // where nobody can look, the late answer has to be believed
          staging.markDirty(node);
        }
      }
      if (unsure.length > 0) await refresh.keys(staging, unsure);
      for (const { node } of keys) {
        if (!node.discovered || isWanted(node)) continue;
        node.discovered = false; // our own doing, which nobody wants any more
        staging.resolve(node);
      }
    },
    stage(staging) {
      for (const { node, landed } of keys) {
        const { trouble } = node;
        // Nobody can tell whether it took effect, and nobody has asked for another try.
        const unknown = !isReadable(node) && landed === undefined;
        if (trouble?.kind !== "failed" || trouble.retrying || !unknown) retryNow(staging, node);
      }
      return nothing();
    },
  };
}

function isReadable(n: Node): boolean {
  const api = n.descriptor?.api;
  return api?.retrieve !== undefined || api?.retrieveOne !== undefined;
}
