import { VppProtocolError } from "../errors.ts";

/**
 * VPP's socket carries messages behind a `msgbuf_t` (vlibapi/api_common.h), of which only the length matters:
 *
 *     0      8          12          16
 *     | queue | data_len | timestamp | data: u16 message number, the message's fields …
 *
 * All integers are big-endian.
 */
export const FRAME_HEADER = 16;
const LENGTH_AT = 8;

/** A message is at least its number. */
const MIN_MESSAGE = 2;

/**
 * The longest message taken from VPP. Its message table takes 200 KB, all API files together (`get_api_json`) some 5 MB;
 * a CLI command's output has no bound of its own.
 */
export const MAX_MESSAGE = 64 << 20;

/** One read takes what is there, up to this: the default send buffer of a Unix socket. */
const READ_SIZE = 256 << 10;

/** Writes the header of a frame over zero bytes. */
export function putFrameHeader(w: DataView, o: number, messageBytes: number): void {
  w.setUint32(o + LENGTH_AT, messageBytes);
}

/**
 * Cuts the received bytes into messages, in the buffer they were received into. The buffer is used again for later
 * messages, so whoever is shown one copies what should last.
 */
export class FrameReader {
  /** Everything received; {@link next} says where the message is. */
  b = Buffer.allocUnsafeSlow(READ_SIZE);
  w = new DataView(this.b.buffer);
  /** First byte of the message found last. */
  at = 0;
  /** Behind its last byte. */
  until = 0;
  #start = 0;
  #end = 0;

  /** Room for the next read; never empty. */
  space(): Uint8Array {
    if (this.#start === this.#end) {
      this.#start = 0;
      this.#end = 0;
    }
    const want = this.#bytesWanted();
    if (this.b.length - this.#end < want) this.#makeRoom(want);
    return this.b.subarray(this.#end);
  }

  /** `n` bytes were read into {@link space}. */
  received(n: number): void {
    this.#end += n;
  }

  /** Whether part of a message is waiting for the rest of it. */
  get partial(): boolean {
    return this.#end > this.#start;
  }

  /** Finds the next whole message. Throws {@link VppProtocolError} on a length that no message has. */
  next(): boolean {
    const available = this.#end - this.#start;
    if (available < FRAME_HEADER) return false;
    const length = this.w.getUint32(this.#start + LENGTH_AT);
    if (length < MIN_MESSAGE || length > MAX_MESSAGE) {
      throw new VppProtocolError(`a frame of ${length} bytes (${MIN_MESSAGE} to ${MAX_MESSAGE} are possible)`);
    }
    if (available < FRAME_HEADER + length) return false;
    this.at = this.#start + FRAME_HEADER;
    this.until = this.at + length;
    this.#start = this.until;
    return true;
  }

  /** A quarter of a full read, or twice what a long message has so far: its length alone allocates nothing. */
  #bytesWanted(): number {
    return Math.max(READ_SIZE / 4, this.#end - this.#start);
  }

  #makeRoom(want: number): void {
    const have = this.#end - this.#start;
    if (have + want <= this.b.length) this.b.copyWithin(0, this.#start, this.#end);
    else {
      const larger = Buffer.allocUnsafeSlow(have + want);
      this.b.copy(larger, 0, this.#start, this.#end);
      this.b = larger;
      this.w = new DataView(larger.buffer);
    }
    this.#start = 0;
    this.#end = have;
  }
}

/** Bytes of one write: large enough that system calls don't matter, small enough that VPP starts while we still encode. */
const CHUNK = 64 << 10;

/** Where messages are written until they are sent: one after the other into large chunks, never copied. */
export class FrameWriter {
  b = Buffer.allocUnsafeSlow(CHUNK);
  w = new DataView(this.b.buffer);
  #used = 0;
  #sent = 0;
  readonly #send: (bytes: Uint8Array) => void;

  /** `send` takes bytes that stay as they are. */
  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Room of zero bytes for a message, behind a frame header. Returns where the message begins in `b` and `w`. */
  begin(messageBytes: number): number {
    const need = FRAME_HEADER + messageBytes;
    if (this.#used + need > this.b.length) {
      this.flush();
      this.b = Buffer.allocUnsafeSlow(Math.max(CHUNK, need));
      this.w = new DataView(this.b.buffer);
      this.#used = 0;
      this.#sent = 0;
    }
    const o = this.#used;
    this.b.fill(0, o, o + need);
    putFrameHeader(this.w, o, messageBytes);
    return o + FRAME_HEADER;
  }

  /** The message that {@link begin} made room for is complete. Without this call, it was never there. */
  end(messageEnd: number): void {
    this.#used = messageEnd;
  }

  /** Sends what is complete. */
  flush(): void {
    if (this.#used === this.#sent) return;
    const bytes = this.b.subarray(this.#sent, this.#used);
    this.#sent = this.#used;
    this.#send(bytes);
  }
}
