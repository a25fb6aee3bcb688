import { backoffDelay } from "../../base/backoff/backoff.ts";
import type { Clock, Timer } from "../../base/clock/clock.ts";
import type { RetryOptions } from "../api/scheduler.ts";
import type { Node, Trouble } from "../graph/node.ts";

/** One key to be tried again, as long as `trouble` is still what is wrong with it. */
export interface Ticket {
  readonly node: Node;
  readonly trouble: Trouble;
}

/** Waits with failed keys until it is time to try them again. Keys with the same options and count of attempts go together. */
export class Retries {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #fire: (tickets: readonly Ticket[]) => void;
  readonly #timers = new Set<Timer>();
  /** Keys that wait for the time of their next try. */
  waiting = 0;

  constructor(clock: Clock, random: () => number, fire: (tickets: readonly Ticket[]) => void) {
    this.#clock = clock;
    this.#random = random;
    this.#fire = fire;
  }

  schedule(nodes: readonly Node[]): void {
    const groups = new Map<RetryOptions, Map<number, Ticket[]>>();
    for (const node of nodes) {
      const { retry, trouble } = node;
      if (retry === undefined || trouble === undefined) continue;
      let byAttempt = groups.get(retry);
      if (byAttempt === undefined) groups.set(retry, (byAttempt = new Map()));
      const list = byAttempt.get(node.attempts);
      if (list === undefined) byAttempt.set(node.attempts, [{ node, trouble }]);
      else list.push({ node, trouble });
      node.attempts++;
    }
    for (const [retry, byAttempt] of groups) {
      for (const [attempt, tickets] of byAttempt) {
        const timer = this.#clock.schedule(backoffDelay(retry, attempt, this.#random), () => {
          this.#timers.delete(timer);
          this.waiting -= tickets.length;
          this.#fire(tickets);
        });
        this.#timers.add(timer);
        this.waiting += tickets.length;
      }
    }
  }

  close(): void {
    for (const t of this.#timers) t.cancel();
    this.#timers.clear();
  }
}
