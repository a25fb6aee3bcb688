import { HeddleError } from "../../../base/errors/errors.ts";

/** The uplink that the configuration names can't be had. The message begins with the key to change. */
export class UplinkError extends HeddleError<"NO_UPLINK"> {
  constructor(message: string, options?: ErrorOptions) {
    super("NO_UPLINK", message, options);
  }
}
