import { HeddleError } from "../../../base/errors/errors.ts";
import { errnoName, errnoText } from "./errno.ts";
import { attrAt, missingAttr, type NetlinkAck } from "./ext-ack.ts";
import type { NetlinkRequest } from "./request.ts";

/**
 * The kernel refused a request: `create veth hd3f with peer eth0: EEXIST: File exists: <the kernel's explanation>`.
 * `code` is the errno's name. EPERM means that the process lacks CAP_NET_ADMIN in the namespace, EOPNOTSUPP that the
 * kernel was built without what was asked for.
 */
export class NetlinkError extends HeddleError {
  readonly errno: number;
  /** The request in words. */
  readonly words: string;
  /** The kernel's own explanation, where it gives one. */
  readonly text: string | undefined;
  /** Path of the attribute that the kernel objects to, or misses. */
  readonly attribute: string | undefined;

  constructor(
    words: string,
    errno: number,
    details: { text?: string | undefined; attribute?: string | undefined } = {},
  ) {
    const code = errnoName(errno);
    const where = details.attribute === undefined ? "" : ` (${details.attribute})`;
    super(code, `${words}: ${code}: ${errnoText(errno)}${details.text ? `: ${details.text}` : ""}${where}`);
    this.errno = errno;
    this.words = words;
    this.text = details.text;
    this.attribute = details.attribute;
  }
}

/**
 * The exchange itself failed, and what the request did is not known: code ENOBUFS (answers were lost), NO_ANSWER (none
 * came), DUMP_INTERRUPTED (the state changed during each of several attempts to read it), or what the socket's system
 * call reported. Read the state again before repeating the request.
 */
export class NetlinkSocketError extends HeddleError {
  readonly words: string;

  constructor(words: string, code: string, message: string, options?: ErrorOptions) {
    super(code, `${words}: ${message}`, options);
    this.words = words;
  }
}

/** The error that an acknowledgement of `request` reports. */
export function ackError(
  request: Pick<NetlinkRequest<unknown>, "body" | "schema" | "words">,
  ack: NetlinkAck,
): NetlinkError {
  let attribute: string | undefined;
  if (ack.missingType !== undefined) {
    attribute = `${missingAttr(request.body, request.schema, ack.missingType, ack.missingNest)} is missing`;
  } else if (ack.offset !== undefined) {
    attribute = attrAt(request.body, request.schema, ack.offset);
  }
  return new NetlinkError(request.words, ack.errno, { text: ack.text, attribute });
}

function hasCode(e: unknown, codes: readonly string[]): boolean {
  return e instanceof NetlinkError && codes.includes(e.code);
}

/** What was to be created is there already. */
export function isExists(e: unknown): boolean {
  return hasCode(e, ["EEXIST"]);
}

/** What was to be changed or deleted is not there: the link, the address, the route, the neighbour, the namespace. */
export function isNotFound(e: unknown): boolean {
  return hasCode(e, ["ENOENT", "ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENXIO"]);
}

/** The kernel lacks what was asked for (a link kind, a qdisc); asking again is of no use. */
export function isNotSupported(e: unknown): boolean {
  return hasCode(e, ["EOPNOTSUPP", "ENOTSUPP", "EAFNOSUPPORT", "EPROTONOSUPPORT"]);
}

/** Something else holds what is asked for; asking again later may work. */
export function isBusy(e: unknown): boolean {
  return hasCode(e, ["EBUSY", "EAGAIN"]);
}
