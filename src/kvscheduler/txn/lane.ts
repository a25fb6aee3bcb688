import { Fifo } from "../../base/queue/fifo.ts";
import type { OpContext } from "../api/descriptor.ts";
import type { Entry } from "../graph/registry.ts";
import type { Op } from "./op.ts";

/** Slots of one descriptor. */
export interface Lane {
  readonly entry: Entry;
  running: number;
  readonly limit: number;
  readonly waiting: Fifo<Op>;
  /** Removals that have not ended; whatever makes something waits in `afterRemovals` until there is none. */
  removals: number;
  readonly afterRemovals: Op[];
}

/**
 * Operations that may start, in the order in which they may: those that have just become free, then those that waited
 * for a slot of their descriptor, then those for which there were too many altogether.
 */
export class Lanes {
  readonly #perDescriptor: number;
  readonly #byEntry: (Lane | undefined)[] = [];
  /** Lanes in which a slot has become free while others waited. */
  readonly #freed: Lane[] = [];
  readonly #ready = new Fifo<Op>();
  readonly #crowd = new Fifo<Op>();

  constructor(perDescriptor: number) {
    this.#perDescriptor = perDescriptor;
  }

  of(entry: Entry): Lane {
    return (this.#byEntry[entry.index] ??= {
      entry,
      running: 0,
      limit: entry.api.concurrency ?? this.#perDescriptor,
      waiting: new Fifo(),
      removals: 0,
      afterRemovals: [],
    });
  }

  wake(op: Op): void {
    this.#ready.push(op);
  }

  /** `op` has to wait until fewer operations run altogether. */
  crowd(op: Op): void {
    this.#crowd.push(op);
  }

  /** A slot of `lane` is free again. */
  free(lane: Lane): void {
    lane.running--;
    if (lane.waiting.size > 0) this.#freed.push(lane);
  }

  /** The next one that may start; `hasRoom`: whether it may be one that needs a slot of its own. */
  next(hasRoom: boolean): Op | undefined {
    const ready = this.#ready.shift();
    if (ready !== undefined || !hasRoom) return ready;
    for (let lane = this.#freed.at(-1); lane !== undefined; lane = this.#freed.at(-1)) {
      if (lane.running < lane.limit && lane.waiting.size > 0) return lane.waiting.shift();
      this.#freed.pop();
    }
    return this.#crowd.shift();
  }
}

/** Calls the descriptor's callback for the operation. */
export function invoke(op: Op, entry: Entry, ctx: OpContext): unknown {
  const n = op.node;
  const api = entry.api;
  if (op.kind === "create") return api.create(n.key, op.value, ctx);
  if (op.kind === "delete") return api.delete(n.key, op.value, n.metadata, ctx);
  return api.update!(n.key, op.oldValue, op.value, n.metadata, ctx);
}
