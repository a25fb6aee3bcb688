import { type Clock, millis, type Timer } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import type { Log } from "../infra/log/log.ts";
import type { ConnectionJudge, PodPolicyRow, PolicyWiring } from "./api.ts";

/** Between two rounds: each has the dataplane tell of all its connections. */
const BETWEEN = millis(250);
/** Of the time, rounds take one part of so many. */
const SHARE = 4;

export interface RejudgingOptions {
  readonly wiring: Pick<PolicyWiring, "rejudge">;
  readonly rows: () => readonly PodPolicyRow[];
  readonly judge: ConnectionJudge;
  readonly clock: Clock;
  readonly log: Log;
}

/** Has established connections judged again, one round at a time; what changes during a round, or soon after, is for the next. */
export class Rejudging {
  readonly #options: RejudgingOptions;
  #waiting = new Set<string>();
  #round: Promise<void> | undefined;
  /** Until it is over there is no round. */
  #pause: Timer | undefined;
  #problem: string | undefined;
  #closed = false;
  readonly #totals = { rounds: 0, judged: 0, stopped: 0, resumed: 0 };

  constructor(options: RejudgingOptions) {
    this.#options = options;
  }

  /** Why connections that are no longer allowed may go on; undefined when all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Since the start. */
  get totals(): Readonly<{ rounds: number; judged: number; stopped: number; resumed: number }> {
    return this.#totals;
  }

  /** IDs of wirings. */
  add(ids: Iterable<string>): void {
    for (const id of ids) this.#waiting.add(id);
    this.#next();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.cancel();
    await this.#round;
  }

  #next(): void {
    if (this.#round || this.#pause || this.#closed || this.#waiting.size === 0) return;
    const { clock } = this.#options;
    const began = clock.now();
    const changed = this.#waiting;
    this.#waiting = new Set();
    this.#round = this.#judge(changed).finally(() => {
      this.#round = undefined;
      if (this.#closed) return;
      const took = clock.now() - began;
      this.#pause = clock.schedule(millis(Math.max(BETWEEN, (SHARE - 1) * took)), () => {
        this.#pause = undefined;
        this.#next();
      });
    });
  }

  async #judge(changed: ReadonlySet<string>): Promise<void> {
    const { wiring, rows, judge, log } = this.#options;
    try {
      const { judged, stopped, resumed } = await wiring.rejudge({ rows: rows(), changed }, judge);
      this.#totals.rounds++;
      this.#totals.judged += judged;
      this.#totals.stopped += stopped;
      this.#totals.resumed += resumed;
      this.#problem = undefined;
      if (stopped + resumed > 0) log.info({ judged, stopped, resumed }, "connections were judged again");
    } catch (e) {
      this.#problem = `connections that are no longer allowed may go on: ${toError(e).message}`;
      log.warn({ err: e }, "connections could not be judged again");
      for (const id of changed) this.#waiting.add(id);
    }
  }
}
