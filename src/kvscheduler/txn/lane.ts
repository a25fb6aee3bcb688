import type { OpContext } from "../api/descriptor.ts";
import type { Entry } from "../graph/registry.ts";
import type { Op } from "./op.ts";

/** Slots of one descriptor. */
export interface Lane {
  running: number;
  readonly limit: number;
  readonly waiting: Op[];
  /** Removals that have not ended; whatever makes something waits in `afterRemovals` until there is none. */
  removals: number;
  readonly afterRemovals: Op[];
}

export function laneOf(entry: Entry, limit: number): Lane {
  return { running: 0, limit: entry.api.concurrency ?? limit, waiting: [], removals: 0, afterRemovals: [] };
}

/** Calls the descriptor's callback for the operation. */
export function invoke(op: Op, entry: Entry, ctx: OpContext): unknown {
  const n = op.node;
  const api = entry.api;
  if (op.kind === "create") return api.create(n.key, op.value, ctx);
  if (op.kind === "delete") return api.delete(n.key, op.value, n.metadata, ctx);
  return api.update!(n.key, op.oldValue, op.value, n.metadata, ctx);
}
