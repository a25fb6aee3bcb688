import { type Clock, millis, systemClock } from "../../src/base/clock/clock.ts";

/** Real time that passes `speed` times as fast: for what waits long and talks to real sockets meanwhile. */
export const fastClock = (speed: number): Clock => ({
  now: () => systemClock.now() * speed,
  wall: () => systemClock.wall(),
  schedule: (delay, callback) => systemClock.schedule(millis(delay / speed), callback),
});
