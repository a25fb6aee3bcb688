import { systemClock } from "../../base/clock/clock.ts";
import { breathe } from "../../base/slice/slice.ts";

/** How long an answer may be worked on before the event loop gets a turn, in milliseconds. */
const LIMIT_MS = 5;

/** Work in steps of a millisecond or so: it yields where it may be interrupted. */
export type Steps<T> = Generator<void, T, void>;

/** Does the work, giving the event loop its turns. */
export async function inSlices<T>(steps: Steps<T>): Promise<T> {
  for (let since = systemClock.now(); ; ) {
    const step = steps.next();
    if (step.done === true) return step.value;
    if (systemClock.now() - since < LIMIT_MS) continue;
    await breathe();
    since = systemClock.now();
  }
}
