import { type Clock, type Duration, millis, type Timer } from "../base/clock/clock.ts";
import { toError } from "../base/errors/errors.ts";
import type { Log } from "../infra/log/log.ts";
import type { ConnectionJudge, PodPolicyRow, PolicyWiring } from "./api.ts";

/** Between two rounds: each has the dataplane tell of all its connections. */
const BETWEEN = millis(250);
/** Between two looks at what was stopped, while there is no round. */
const BETWEEN_LOOKS = millis(20);
/** Of the time, rounds take one part of so many, and so do looks. */
const SHARE = 4;

export interface RejudgingOptions {
  readonly wiring: Pick<PolicyWiring, "rejudge" | "resume">;
  readonly rows: () => readonly PodPolicyRow[];
  readonly judge: ConnectionJudge;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Has established connections judged again, one round at a time; what changes during a round, or soon after, is for the next. What
 * was stopped and is allowed again does not wait for that: where a client uses a port again, a new connection would wait as well.
 */
export class Rejudging {
  readonly #options: RejudgingOptions;
  #waiting = new Set<string>();
  /** Something has changed since what was stopped was looked at. */
  #isNew = false;
  /** A round, or a look at what was stopped. */
  #round: Promise<void> | undefined;
  /** Until it is over there is no round. */
  #pause: Timer | undefined;
  /** Until it is over there is no look. */
  #rest: Timer | undefined;
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
    this.#isNew = true;
    this.#next();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pause?.cancel();
    this.#rest?.cancel();
    await this.#round;
  }

  #next(): void {
    if (this.#round || this.#closed || this.#waiting.size === 0) return;
    if (!this.#pause) {
      const changed = this.#waiting;
      this.#waiting = new Set();
      this.#run(this.#judge(changed), BETWEEN, (pause) => (this.#pause = pause));
    } else if (this.#isNew && !this.#rest && this.#options.wiring.resume) {
      this.#run(this.#resume(), BETWEEN_LOOKS, (rest) => (this.#rest = rest));
    }
  }

  /** `rests`: given the time until there may be another one, and undefined when it is over. */
  #run(round: Promise<void>, least: Duration, rests: (until: Timer | undefined) => void): void {
    const { clock } = this.#options;
    const began = clock.now();
    this.#isNew = false;
    this.#round = round.finally(() => {
      this.#round = undefined;
      if (this.#closed) return;
      const timer = clock.schedule(millis(Math.max(least, (SHARE - 1) * (clock.now() - began))), () => {
        rests(undefined);
        this.#next();
      });
      rests(timer);
      this.#next();
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

  async #resume(): Promise<void> {
    const { wiring, rows, judge, log } = this.#options;
    try {
      const resumed = (await wiring.resume?.({ rows: rows(), changed: new Set(this.#waiting) }, judge)) ?? 0;
      this.#totals.resumed += resumed;
      if (resumed > 0) log.info({ resumed }, "connections that are allowed again go on");
    } catch (e) {
      log.warn({ err: e }, "connections that are allowed again wait for the next round");
    }
  }
}
