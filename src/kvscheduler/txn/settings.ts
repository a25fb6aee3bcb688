import type { Clock, Duration } from "../../base/clock/clock.ts";
import type { Counters } from "./counters.ts";
import type { Suspensions } from "./suspensions.ts";
import type { Turn } from "./turn.ts";

/** What every execution needs. */
export interface ExecuteSettings {
  readonly clock: Clock;
  readonly turn: Turn;
  readonly counters: Counters;
  readonly suspensions: Suspensions;
  /** For descriptors that have none of their own. */
  readonly deadline: Duration;
  /** Operations of one descriptor at once, for descriptors that say nothing. */
  readonly perDescriptor: number;
  /** Operations of all descriptors at once. */
  readonly total: number;
  /** How long a commit waits for what others do before it goes ahead with what is ready. */
  readonly groupPatience: Duration;
}
