import type { Edge, Op } from "./op.ts";
import type { Turn } from "./turn.ts";

export interface SpreadHost {
  /** Operations that have not ended. */
  left(): number;
  /** `op` has ended: what about what waits for it? */
  tell(op: Op, edge: Edge): void;
  /** All that waits knows of all that has ended. */
  told(): void;
  /** The event loop has had its turn in between: more may have become free to start. */
  proceed(): void;
}

/**
 * Tells what waits for ended operations that they have ended. A list and no recursion, since a chain may be of any
 * length; and with breaks, since any number may wait for one.
 */
export class Spread {
  readonly #turn: Turn;
  readonly #host: SpreadHost;
  readonly #ended: Op[] = [];
  #endedAt = 0;
  #outAt = 0;
  /** Not all that waits knows yet. */
  #busy = false;

  constructor(turn: Turn, host: SpreadHost) {
    this.#turn = turn;
    this.#host = host;
  }

  get isBusy(): boolean {
    return this.#busy;
  }

  add(op: Op): void {
    if (op.outs === undefined) return;
    this.#ended.push(op);
    if (!this.#busy) this.#run();
  }

  #run(): void {
    this.#busy = true;
    for (; this.#endedAt < this.#ended.length; this.#endedAt++, this.#outAt = 0) {
      const op = this.#ended[this.#endedAt]!;
      const outs = op.outs!;
      while (this.#outAt < outs.length) {
        this.#host.tell(op, outs[this.#outAt++]!);
        if (this.#turn.isOver()) {
          void this.#later(); // never rejects
          return;
        }
      }
    }
    this.#ended.length = 0;
    this.#endedAt = 0;
    this.#busy = false;
    this.#host.told();
  }

  async #later(): Promise<void> {
    await this.#turn.breathe();
    // If nothing is left, what was not told concerns nobody, and the plan may be a record already.
    if (this.#host.left() > 0) {
      this.#run();
      this.#host.proceed();
    }
    this.#turn.leave();
  }
}
