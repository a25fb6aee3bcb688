/**
 * The KVScheduler: configuration items in any order from several sources, southbound operations in the right order.
 * Everything that can be imported from `heddle/kvscheduler`. Start with {@link createScheduler} and {@link Descriptor}.
 *
 * @module
 */
export { type Clock, type Duration, millis, minutes, seconds, systemClock, type Timer } from "../base/clock/clock.ts";
export { ManualClock } from "../base/clock/manual-clock.ts";
export { ClosedError, DeadlineError, HeddleError, OverloadedError } from "../base/errors/errors.ts";
export type * from "./api/descriptor.ts";
export * from "./api/errors.ts";
export type * from "./api/graph-view.ts";
export type * from "./api/history.ts";
export type * from "./api/record.ts";
export type * from "./api/scheduler.ts";
export type * from "./api/southbound.ts";
export * from "./api/stats.ts";
export type * from "./api/status.ts";
export { renderOps, renderStatus, renderTxn } from "./render.ts";
export { createScheduler, type SchedulerOptions } from "./scheduler.ts";
export type { HistoryOptions } from "./txn/history.ts";
export type { StagingLog } from "./txn/staging.ts";
