import { HeddleError } from "../errors/errors.ts";

export type IpErrorCode =
  /** The text is no IP address (or one with a zone, a prefix length or leading zeros, which are never accepted). */
  | "BAD_ADDRESS"
  /** The text is no `address/prefix`. */
  | "BAD_CIDR"
  /** A network was expected, but address bits behind the prefix are set; the message names the network that was meant. */
  | "HOST_BITS"
  /** The text is no Ethernet address, or the bytes can't make one of the kind asked for. */
  | "BAD_MAC"
  /** Arithmetic that leaves the network or the address family. */
  | "OUT_OF_RANGE";

/** An address, network or MAC that can't be right. The message quotes the text; callers add where it came from. */
export class IpError extends HeddleError<IpErrorCode> {}
