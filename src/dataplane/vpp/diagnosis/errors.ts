import { HeddleError } from "../../../base/errors/errors.ts";

/**
 * Looking into a VPP was not possible. `BAD_FILTER`, `NO_SUCH_INTERFACE`, `NO_SUCH_NODE`: what was asked for is wrong;
 * `BUSY`: somebody else is tracing or capturing on this VPP, the message says how to end that; `FAILED`: VPP did
 * something unexpected.
 */
export class DiagnosisError extends HeddleError<
  "BAD_FILTER" | "NO_SUCH_INTERFACE" | "NO_SUCH_NODE" | "BUSY" | "FAILED"
> {}
