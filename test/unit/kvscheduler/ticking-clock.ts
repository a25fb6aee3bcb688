import type { Clock } from "../../../src/base/clock/clock.ts";

/** A clock for which every look at it takes `ms`: whoever minds the time is interrupted often. Timers never fire. */
export function ticking(ms: number): Clock {
  let now = 0;
  return {
    now: () => (now += ms),
    wall: () => Date.UTC(2026, 0, 1) + now,
    schedule: () => ({ cancel: () => undefined }),
  };
}
