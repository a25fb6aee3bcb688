import { type Duration, millis } from "../clock/clock.ts";

export interface BackoffOptions {
  readonly first: Duration;
  readonly max: Duration;
  /** Growth per attempt; 2 if absent. */
  readonly factor?: number;
  /** Share of the delay that is random, 0 to 1; 0.2 if absent. Keeps a cluster's agents from knocking in step. */
  readonly jitter?: number;
}

/** The delay before attempt number `attempt` (0 for the first retry). `random` yields numbers in [0, 1). */
export function backoffDelay(options: BackoffOptions, attempt: number, random: () => number = Math.random): Duration {
  const { first, max, factor = 2, jitter = 0.2 } = options;
  const base = Math.min(max, first * factor ** Math.min(attempt, 60));
  return millis(base * (1 - jitter + 2 * jitter * random()));
}
