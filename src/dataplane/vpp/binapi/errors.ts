import { HeddleError } from "../../../base/errors/errors.ts";
import { type RetvalName, retvalName, retvalText } from "./retval.ts";

/**
 * VPP carried the request to its end and refused: `retval` was not 0. `code` is VPP's own name for it
 * (`NO_SUCH_ENTRY`), or `UNKNOWN_RETVAL` for a number that this build's table lacks. Whether something was changed
 * depends on the call; VPP's handlers mostly check before they act.
 */
export class VppApiError extends HeddleError<RetvalName | "UNKNOWN_RETVAL"> {
  /** The request's message name. */
  readonly request: string;
  readonly retval: number;
  /** The whole reply; fields behind the retval mostly mean nothing. */
  readonly reply: Readonly<Record<string, unknown>>;

  constructor(request: string, retval: number, reply: Readonly<Record<string, unknown>> = {}) {
    const name = retvalName(retval);
    const why = `${name ?? "no known name"}: ${retvalText(retval)}`;
    super(name ?? "UNKNOWN_RETVAL", `${request}: VPP answered ${retval} (${why})`);
    this.request = request;
    this.retval = retval;
    this.reply = reply;
  }
}

/** The value given for a request does not fit its schema, or is one that VPP would die of. Nothing was sent. `message` names type, field and value. */
export class VppEncodeError extends HeddleError<"BAD_INPUT"> {
  constructor(message: string) {
    super("BAD_INPUT", message);
  }
}

/** A debug CLI command that VPP does not know or that failed. `output` is what the CLI printed. */
export class VppCliError extends HeddleError<"CLI"> {
  readonly command: string;
  readonly output: string;

  constructor(command: string, output: string, options?: ErrorOptions) {
    super("CLI", `VPP's CLI refuses "${command}": ${output.trim() || "no output"}`, options);
    this.command = command;
    this.output = output;
  }
}

/** A reply's content has no meaning (an address family that is neither IPv4 nor IPv6). The connection goes on. */
export class VppDecodeError extends HeddleError<"BAD_REPLY"> {
  constructor(message: string) {
    super("BAD_REPLY", message);
  }
}

/**
 * What came over the socket is not VPP's protocol: a frame that ends before its message does, of an impossible length,
 * of an unknown message number. The connection is closed by it, because nothing after such a frame can be trusted. Look
 * first whether the API files belong to the running VPP.
 */
export class VppProtocolError extends HeddleError<"PROTOCOL"> {
  constructor(message: string, options?: ErrorOptions) {
    super("PROTOCOL", message, options);
  }
}

/**
 * There is no connection, or it ended while the request was under way. With `sent` false nothing reached VPP; with
 * `sent` true it is unknown whether the request took effect. Either way a resync after the next connection tells.
 */
export class VppDisconnectedError extends HeddleError<"NOT_CONNECTED"> {
  readonly sent: boolean;

  constructor(what: string, sent: boolean, options?: ErrorOptions) {
    const effect = sent ? "; whether it took effect is unknown" : "; it was not sent";
    super("NOT_CONNECTED", `${what}: no connection to VPP${effect}`, options);
    this.sent = sent;
  }
}

/**
 * The running VPP does not have the message as this build knows it: its plugin is not loaded, or the message changed.
 * `details` says which, by field.
 */
export class VppMessageUnavailableError extends HeddleError<"NO_SUCH_MESSAGE"> {
  readonly request: string;
  readonly details: string;

  constructor(request: string, details: string) {
    super("NO_SUCH_MESSAGE", `${request}: ${details}`);
    this.request = request;
    this.details = details;
  }
}

/** The API files could not be read or say something this build does not understand. */
export class VppSchemaError extends HeddleError<"SCHEMA"> {
  constructor(message: string, options?: ErrorOptions) {
    super("SCHEMA", message, options);
  }
}

/** VPP answered one of these. */
export const isRetval = (e: unknown, names: readonly string[]): boolean =>
  e instanceof VppApiError && names.includes(e.code);

/** VPP has no such object: what a removal may treat as done. */
export const isNotFound = (e: unknown): boolean => isRetval(e, NOT_FOUND);

/** VPP has the object already: what a creation may treat as done after it has compared the object. */
export const isAlreadyExists = (e: unknown): boolean => isRetval(e, EXISTS);

/** Worth trying again unchanged: the connection or the time, not the request, was at fault. */
export const isRetryable = (e: unknown): boolean =>
  e instanceof VppDisconnectedError ||
  (e instanceof HeddleError && (e.code === "DEADLINE" || e.code === "OVERLOADED")) ||
  isRetval(e, ["EAGAIN", "BUSY", "RESPONSE_NOT_READY", "QUEUE_FULL", "BFD_EAGAIN"]);

const NOT_FOUND = [
  "NO_SUCH_ENTRY",
  "NO_SUCH_FIB",
  "NO_SUCH_TABLE",
  "NO_SUCH_LABEL",
  "INVALID_SW_IF_INDEX",
  "INVALID_INTERFACE",
  "ADDRESS_NOT_FOUND_FOR_INTERFACE",
  "SUBIF_DOESNT_EXIST",
  "ADDRESS_NOT_IN_USE",
  "BFD_ENOENT",
];

const EXISTS = [
  "ENTRY_ALREADY_EXISTS",
  "IF_ALREADY_EXISTS",
  "VALUE_EXIST",
  "TUNNEL_EXIST",
  "VLAN_ALREADY_EXISTS",
  "SUBIF_ALREADY_EXISTS",
  "BD_ALREADY_EXISTS",
  "BD_ALREADY_HAS_BVI",
  "BFD_EEXIST",
  "ADDRESS_FOUND_FOR_INTERFACE",
  "FEATURE_ALREADY_ENABLED",
  "INSTANCE_IN_USE",
];
