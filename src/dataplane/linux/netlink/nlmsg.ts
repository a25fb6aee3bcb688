import { Reader } from "../../../base/bytes/reader.ts";
import type { Writer } from "../../../base/bytes/writer.ts";
import { HeddleError } from "../../../base/errors/errors.ts";

/** NLM_F_* of linux/netlink.h: modifiers common to all requests, of GET, of NEW, and of acknowledgements. */
export const NlmFlag = {
  REQUEST: 0x1,
  MULTI: 0x2,
  ACK: 0x4,
  ECHO: 0x8,
  DUMP_INTR: 0x10,
  DUMP_FILTERED: 0x20,
  ROOT: 0x100,
  MATCH: 0x200,
  DUMP: 0x300,
  REPLACE: 0x100,
  EXCL: 0x200,
  CREATE: 0x400,
  APPEND: 0x800,
  CAPPED: 0x100,
  ACK_TLVS: 0x200,
} as const;

/** NLMSG_*: types below 16 belong to netlink itself. */
export const NlmType = { NOOP: 1, ERROR: 2, DONE: 3, OVERRUN: 4 } as const;

/** struct nlmsghdr. */
export const NLMSG_HEADER_LENGTH = 16;
const ALIGNMENT = 4;

/** One netlink message; `body` follows the header and is a view of the input when decoded. */
export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly portId: number;
  readonly body: Uint8Array;
}

/**
 * Bytes that are no netlink messages, or attributes that don't have the form their type has. Either the kernel speaks a
 * newer dialect or the input did not come from the kernel; nothing of the message is used.
 */
export class NetlinkFormatError extends HeddleError<"NETLINK_FORMAT"> {
  constructor(message: string) {
    super("NETLINK_FORMAT", message);
  }
}

/** The messages that `bytes` consists of, end to end. Throws NetlinkFormatError, and TruncatedError for a cut tail. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  return [...eachMessage(bytes)];
}

/** As {@link decodeMessages}, one at a time: who has many can pause between two. */
export function* eachMessage(bytes: Uint8Array): Generator<NetlinkMessage, void> {
  const r = new Reader(bytes);
  while (r.remaining > 0) {
    const at = r.at;
    const length = r.u32();
    const type = r.u16();
    const flags = r.u16();
    const seq = r.u32();
    const portId = r.u32();
    if (length < NLMSG_HEADER_LENGTH) {
      throw new NetlinkFormatError(`netlink message of ${length} bytes at offset ${at}`);
    }
    const body = r.bytes(length - NLMSG_HEADER_LENGTH);
    r.align(ALIGNMENT);
    yield { type, flags, seq, portId, body };
  }
}

/** Appends one message. The port is 0: the kernel knows whose socket it is. */
export function encodeMessage(w: Writer, message: Omit<NetlinkMessage, "portId">): void {
  w.u32(NLMSG_HEADER_LENGTH + message.body.length);
  w.u16(message.type).u16(message.flags).u32(message.seq).u32(0);
  w.bytes(message.body).align(ALIGNMENT);
}

/** Bytes that {@link encodeMessage} will write for a body of this length. */
export function messageLength(bodyLength: number): number {
  return NLMSG_HEADER_LENGTH + Math.ceil(bodyLength / ALIGNMENT) * ALIGNMENT;
}

/** What `decode` makes of the messages of a datagram; `lost` says that something among them could not be read. */
export function decodeEach<T>(
  bytes: Uint8Array,
  decode: (message: NetlinkMessage) => T | undefined,
): { readonly decoded: T[]; readonly lost: boolean } {
  const decoded: T[] = [];
  let lost = false;
  let messages: NetlinkMessage[] = [];
  try {
    messages = decodeMessages(bytes);
  } catch {
    lost = true;
  }
  for (const message of messages) {
    try {
      const one = decode(message);
      if (one !== undefined) decoded.push(one);
    } catch {
      lost = true;
    }
  }
  return { decoded, lost };
}
