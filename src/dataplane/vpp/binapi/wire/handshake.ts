import { VppProtocolError } from "../errors.ts";

/**
 * The two messages that come before any schema: `sockclnt_create` and its reply, whose numbers are fixed by their place in
 * memclnt.api (15 and 16; VPP's own Python client relies on them too).
 */
const CREATE = { id: 15, size: 2 + 4 + 64 };
const REPLY = { id: 16, size: 2 + 4 + 4 + 4 + 4 + 2 };
const NAME_BYTES = 64;
const ENTRY_BYTES = 2 + NAME_BYTES;

/** What VPP tells a new client. */
export interface Registration {
  /** Goes into every request, as it is. */
  readonly clientIndex: number;
  /** VPP's numbers for its messages, by `name_crc`: `control_ping_51077d14`. */
  readonly ids: ReadonlyMap<string, number>;
}

export const SOCKCLNT_CREATE_BYTES = CREATE.size;

/** Writes `sockclnt_create` over zero bytes. `name` is what VPP's `show api clients` prints; 63 bytes are kept. */
export function putSockclntCreate(b: Buffer, o: number, name: string, context: number): void {
  b.writeUInt16BE(CREATE.id, o);
  b.writeUInt32BE(context, o + 2);
  b.write(name, o + 6, NAME_BYTES - 1, "utf8");
}

/** Reads `sockclnt_create_reply`. Throws {@link VppProtocolError} when it is not that, or says no. */
export function parseSockclntCreateReply(b: Buffer, at: number, until: number): Registration {
  if (until - at < REPLY.size) throw new VppProtocolError("VPP's first message is too short for sockclnt_create_reply");
  const id = b.readUInt16BE(at);
  if (id !== REPLY.id) throw new VppProtocolError(`VPP's first message is no registration but number ${id}`);
  const response = b.readInt32BE(at + 10);
  if (response !== 0) throw new VppProtocolError(`VPP refuses the registration (${response})`);
  const clientIndex = b.readUInt32BE(at + 14);
  const count = b.readUInt16BE(at + 18);
  if (until - at < REPLY.size + count * ENTRY_BYTES) {
    throw new VppProtocolError(`VPP's message table ends before its ${count} entries`);
  }
  const ids = new Map<string, number>();
  for (let i = 0, o = at + REPLY.size; i < count; i++, o += ENTRY_BYTES) {
    let end = o + 2;
    while (end < o + ENTRY_BYTES && b[end] !== 0) end++;
    ids.set(b.toString("latin1", o + 2, end), b.readUInt16BE(o));
  }
  return { clientIndex, ids };
}
