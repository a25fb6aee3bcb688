import { type Clock, millis, type Timer } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import type { Log } from "../infra/log/log.ts";
import type { ServiceChanges, ServiceView, ServiceWiring } from "./api.ts";

/** Between two looks: each has the dataplane tell of all its connections. */
const BETWEEN = millis(250);
/** Of the time, looking takes one part of so many. */
const SHARE = 4;

export interface StaleConnectionsOptions {
  readonly wiring: Pick<ServiceWiring, "endStale">;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Has connections ended that lead to endpoints that are gone, and whose protocol does not end them: one look at a time, by what is
 * in force when it is made. What changes meanwhile is for the next one.
 */
export class StaleConnections {
  readonly #options: StaleConnectionsOptions;
  #wanted: ServiceView | undefined;
  #running: Promise<void> | undefined;
  /** Until it is over there is no look. */
  #pause: Timer | undefined;
  #problem: string | undefined;
  #closed = false;
  #ended = 0;

  constructor(options: StaleConnectionsOptions) {
    this.#options = options;
  }

  /** Why connections may go on to endpoints that are gone; undefined when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Since the start. */
  get ended(): number {
    return this.#ended;
  }

  look(view: ServiceView): void {
    this.#wanted = view;
    this.#next();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.cancel();
    await this.#running;
  }

  #next(): void {
    const { clock, wiring } = this.#options;
    const view = this.#wanted;
    if (!wiring.endStale || !view || this.#running || this.#pause || this.#closed) return;
    this.#wanted = undefined;
    const began = clock.now();
    this.#running = this.#end(view).finally(() => {
      this.#running = undefined;
      if (this.#closed) return;
      const took = clock.now() - began;
      this.#pause = clock.schedule(millis(Math.max(BETWEEN, (SHARE - 1) * took)), () => {
        this.#pause = undefined;
        this.#next();
      });
    });
  }

  async #end(view: ServiceView): Promise<void> {
    const { wiring, log } = this.#options;
    try {
      const ended = (await wiring.endStale?.(view)) ?? 0;
      this.#ended += ended;
      this.#problem = undefined;
      if (ended > 0) log.info({ ended }, "connections to endpoints that are gone were ended");
    } catch (e) {
      this.#problem = `connections may go on to endpoints that are gone: ${toError(e).message}`;
      log.warn({ err: e }, "connections to endpoints that are gone could not be ended");
      this.#wanted ??= view;
    }
  }
}

/** TCP ends by itself. A frontend that is new may have had connections of the node itself, or of another proxy. */
export const mayLeaveStale = ({ base, pools, frontends }: ServiceChanges): boolean =>
  base !== undefined ||
  pools.some(({ old, new: now }) => (now ?? old)?.protocol !== "TCP") ||
  frontends.some(({ old, new: now }) => (now ?? old)?.protocol !== "TCP");
