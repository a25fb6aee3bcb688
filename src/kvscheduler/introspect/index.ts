/**
 * Looking into a scheduler: REST routes for any HTTP server, metrics in Prometheus' format, text for people, drawings of
 * the graph. Everything that can be imported from `heddle/kvscheduler/introspect`. It needs no package.
 *
 * @module
 */
export { renderDot } from "./draw/dot.ts";
export { type Picture, type PictureOptions, pictureOf } from "./draw/picture.ts";
export { drawSvg } from "./draw/svg.ts";
export { METRICS_CONTENT_TYPE, type MetricFamily, renderMetrics, schedulerMetrics } from "./metrics.ts";
export { oneLine, type PlainStatus, plainStatus, toJson } from "./plain.ts";
export type { RestAnswer, RestRequest, RestRoute } from "./route.ts";
export { type SchedulerRoutesOptions, schedulerRoutes } from "./routes.ts";
export type { ReadHistory } from "./stored.ts";
export { statsText, statusText, timelineText } from "./text.ts";
