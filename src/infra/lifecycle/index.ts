/**
 * The life cycle of a process that consists of components. Everything that can be imported from `heddle/lifecycle`.
 *
 * @module
 */
export {
  type Clock,
  type Duration,
  millis,
  minutes,
  seconds,
  systemClock,
  type Timer,
} from "../../base/clock/clock.ts";
export { DeadlineError, HeddleError } from "../../base/errors/errors.ts";
export * from "./lifecycle.ts";
