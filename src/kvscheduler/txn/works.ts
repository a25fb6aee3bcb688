import type { Clock } from "../../base/clock/clock.ts";
import type { Key } from "../api/descriptor.ts";
import { BadTransactionError } from "../api/errors.ts";
import type { Txn } from "../api/scheduler.ts";
import type { Graph } from "../graph/graph.ts";
import { isObserved, isWanted, NO_DEPS, type Node, type Source } from "../graph/node.ts";
import type { Entry } from "../graph/registry.ts";
import type { Work } from "./process.ts";
import type { Ticket } from "./retry.ts";
import { breathe, Slice } from "./slice.ts";
import type { Staging } from "./staging.ts";
import { Truth } from "./truth.ts";

/** What is asked for by {@link Txn}, checked. @throws BadTransactionError */
export function checkTxn(txn: Txn): Map<Key, unknown> {
  const changes = new Map<Key, unknown>();
  for (const [key, value] of txn.changes ?? []) {
    if (typeof key !== "string" || key === "") {
      throw new BadTransactionError("a key must be a string that is not empty");
    }
    if (value === null) throw new BadTransactionError(`${key}: null is not a value; undefined deletes`);
    changes.set(key, value);
  }
  if (txn.resync === "downstream" && changes.size > 0) {
    throw new BadTransactionError("a downstream resync takes no changes; use full, or a transaction of its own");
  }
  if (txn.resync !== undefined && txn.mode === "atomic") {
    throw new BadTransactionError("a resync cannot be atomic: there is no earlier state to go back to");
  }
  if (txn.dryRun === true && (txn.resync === "full" || txn.resync === "downstream")) {
    throw new BadTransactionError("a dry run does not read the southbound; only an upstream resync can be tried so");
  }
  return changes;
}

export function northboundWork(
  txn: Txn,
  changes: ReadonlyMap<Key, unknown>,
  context: { source: Source; graph: Graph; clock: Clock; mayDiscard: () => boolean },
): Work {
  const { source, graph, clock } = context;
  const { resync } = txn;
  return {
    kind: "northbound",
    source: source.name,
    ...(txn.description !== undefined && { description: txn.description }),
    ...(resync !== undefined && { resync }),
    mode: txn.mode ?? "best-effort",
    ...(txn.dryRun === true && { dryRun: true }),
    queuedAt: clock.wall(),
    async stage(staging) {
      const slice = new Slice(clock);
      for (const [key, value] of changes) {
        const n = value === undefined ? graph.nodes.get(key) : graph.ensure(key);
        if (n === undefined) continue;
        staging.touch(n);
        n.attempts = 0;
        if (value !== undefined) n.retry = txn.retry;
        staging.own(n, source, value);
        if (slice.isOver() && txn.dryRun !== true) {
          await breathe();
          slice.restart();
        }
      }
      if (resync === undefined) return;
      for (const n of graph.nodes.values()) {
        const owns = n.owner === source || n.others?.some((o) => o.source === source) === true;
        if (resync !== "downstream" && owns && !changes.has(n.key)) staging.own(n, source, undefined);
        else if (n.trouble?.kind === "failed") retryNow(staging, n);
        if (slice.isOver() && txn.dryRun !== true) {
          await breathe();
          slice.restart();
        }
      }
    },
    afterRefresh(staging) {
      if (resync === undefined) return;
      const discard = context.mayDiscard();
      for (const n of graph.nodes.values()) {
        if (!n.discovered || !discard) continue;
        staging.touch(n);
        n.discovered = false;
        if (!isWanted(n)) staging.resolve(n);
      }
    },
  };
}

/** Tries again what has failed, as far as it is still the same failure. */
export function retryWork(tickets: readonly Ticket[], clock: Clock): Work {
  return {
    kind: "retry",
    source: "scheduler",
    mode: "best-effort",
    queuedAt: clock.wall(),
    stage(staging) {
      for (const { node, trouble } of tickets) if (node.trouble === trouble) retryNow(staging, node);
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
    stage(staging) {
      for (const n of nodes) {
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
export function notificationWork(changes: ReadonlyMap<Key, unknown>, graph: Graph, clock: Clock): Work {
  return {
    kind: "notification",
    source: "southbound",
    mode: "best-effort",
    queuedAt: clock.wall(),
    stage(staging) {
      const truth = new Truth(staging, -1, false);
      for (const [key, value] of changes) {
        if (graph.registry.forKey(key) === undefined) continue;
        const n = value == null ? graph.nodes.get(key) : graph.ensure(key);
        if (n === undefined || isWanted(n)) continue;
        if (value != null) truth.told(n, value);
        else if (isObserved(n) || n.discovered) truth.lost(n);
      }
    },
  };
}

/** An operation that had outlived its deadline has ended: what has become of it? */
export function lateWork(n: Node, refresh: (staging: Staging) => Promise<void>, clock: Clock): Work {
  return {
    kind: "late",
    source: "scheduler",
    mode: "best-effort",
    queuedAt: clock.wall(),
    async stage(staging) {
      if (!n.unsure || n.late !== undefined) return;
      await refresh(staging);
      if (n.trouble?.kind === "failed" && !n.trouble.retrying && n.descriptor?.api.retrieve === undefined) return;
      retryNow(staging, n);
    },
  };
}
