import type { MessageValue } from "../codec/codecs.ts";
import type { BoundRequest } from "./bindings.ts";
import type { Recollection } from "./dump-memory.ts";

/** Takes elements of a dump as they come in: decoded, or as bytes of the message behind its context. */
export type ElementSink = ((value: MessageValue) => void) | Recollection;

/** A request that was made and has not ended. */
export interface Pending {
  readonly request: BoundRequest;
  readonly value: MessageValue;
  /** Receives the elements of a dump; undefined for a request with one reply. */
  readonly element: ElementSink | undefined;
  /** Monotonic milliseconds. */
  readonly deadline: number;
  readonly timeout: number;
  readonly resolve: (reply: MessageValue) => void;
  readonly reject: (error: Error) => void;
  readonly signal: AbortSignal | undefined;
  /** As sent, or 0 while the request waits for its turn. */
  context: number;
  ended: boolean;
}

const SLOT_BITS = 16;
const SLOTS = 1 << SLOT_BITS;

/**
 * The requests under way by context. A context is a slot and the number of times it was used, so that an answer that comes
 * after its request was given up finds nobody, even when the slot is taken again.
 */
export class PendingTable {
  readonly #slots: (Pending | undefined)[] = [];
  readonly #generations: number[] = [];
  readonly #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** As many as contexts can tell apart. */
  get full(): boolean {
    return this.#size === SLOTS;
  }

  /** Gives `p` a context. */
  add(p: Pending): void {
    const slot = this.#free.pop() ?? this.#slots.length;
    const generation = ((this.#generations[slot] ?? 0) + 1) & (SLOTS - 1) || 1; // a context is never 0
    this.#generations[slot] = generation;
    this.#slots[slot] = p;
    this.#size++;
    p.context = ((generation << SLOT_BITS) | slot) >>> 0;
  }

  get(context: number): Pending | undefined {
    const p = this.#slots[context & (SLOTS - 1)];
    return p?.context === context ? p : undefined;
  }

  /** Whether some request had this context: an answer to it is late, not somebody else's. */
  wasUsed(context: number): boolean {
    const generation = context >>> SLOT_BITS;
    return generation > 0 && generation <= (this.#generations[context & (SLOTS - 1)] ?? 0);
  }

  delete(p: Pending): void {
    const slot = p.context & (SLOTS - 1);
    if (p.context === 0 || this.#slots[slot] !== p) return;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    this.#size--;
  }

  *[Symbol.iterator](): Generator<Pending> {
    for (const p of this.#slots) if (p) yield p;
  }
}
