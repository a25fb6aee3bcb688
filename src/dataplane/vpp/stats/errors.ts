import { HeddleError } from "../../../base/errors/errors.ts";

/**
 * The statistics segment could not be read.
 *
 * - `NO_SEGMENT`: nothing could be mapped; look whether VPP runs and has `statseg { socket-name … }`. Comes with a cause.
 * - `VERSION`: its layout is another one than this build reads.
 * - `BUSY`: VPP was changing the directory for the whole time that was allowed, or died while it did.
 * - `CORRUPT`: what is there can't be meant: a pointer outside the segment, a vector longer than it.
 */
export class StatsError extends HeddleError<"NO_SEGMENT" | "VERSION" | "BUSY" | "CORRUPT"> {}
