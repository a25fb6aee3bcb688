import type { Clock } from "../../base/clock/clock.ts";
import type { Counters, Phase } from "./counters.ts";

/** How long the parts of one transaction take, each over all its plans. */
export class Phases {
  readonly #clock: Clock;
  #since: number;
  #refresh = -1;
  #plan = -1;
  #execute = -1;
  #record = -1;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = clock.now();
  }

  /** What was done since the last one's end was this. */
  end(phase: Phase): void {
    const now = this.#clock.now();
    const ms = now - this.#since;
    this.#since = now;
    if (phase === "plan") this.#plan = Math.max(0, this.#plan) + ms;
    else if (phase === "execute") this.#execute = Math.max(0, this.#execute) + ms;
    else if (phase === "record") this.#record = ms;
    else this.#refresh = Math.max(0, this.#refresh) + ms;
  }

  count(counters: Counters): void {
    if (this.#refresh >= 0) counters.phase("refresh", this.#refresh);
    if (this.#plan >= 0) counters.phase("plan", this.#plan);
    if (this.#execute >= 0) counters.phase("execute", this.#execute);
    counters.phase("record", this.#record);
  }
}
