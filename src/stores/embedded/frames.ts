import { HeddleError } from "../../base/errors/errors.ts";

/**
 * Frames on the embedded store's Unix socket: a big-endian u32 length, then that many bytes of JSON. Above MAX_FRAME
 * nothing is sent or allocated: a value of the greatest size in base64, and room for a slice of a list.
 */
export const MAX_FRAME = 8 * 1024 * 1024;

/** What came is not of this protocol; the connection can only be closed. */
export class FrameError extends HeddleError<"FRAME"> {
  constructor(message: string, options?: ErrorOptions) {
    super("FRAME", message, options);
  }
}

export function encodeFrame(message: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(message));
  if (body.length > MAX_FRAME) throw new FrameError(`a frame of ${body.length} bytes is above ${MAX_FRAME}`);
  const frame = Buffer.allocUnsafe(4 + body.length);
  frame.writeUInt32BE(body.length);
  body.copy(frame, 4);
  return frame;
}

/** Puts frames together from the pieces in which they arrive. */
export class FrameDecoder {
  #pieces: Buffer[] = [];
  #have = 0;
  #need = 4;
  #inBody = false;

  /** The JSON values completed by `chunk`. @throws FrameError; then the decoder is of no further use. */
  *push(chunk: Buffer): Generator {
    this.#pieces.push(chunk);
    this.#have += chunk.length;
    while (this.#have >= this.#need) {
      const bytes = this.#take(this.#need);
      if (this.#inBody) {
        this.#inBody = false;
        this.#need = 4;
        yield parse(bytes);
      } else {
        const length = bytes.readUInt32BE();
        if (length === 0 || length > MAX_FRAME) throw new FrameError(`a frame of ${length} bytes; 1 to ${MAX_FRAME}`);
        this.#inBody = true;
        this.#need = length;
      }
    }
  }

  #take(count: number): Buffer {
    const all = this.#pieces.length === 1 ? (this.#pieces[0] as Buffer) : Buffer.concat(this.#pieces, this.#have);
    this.#have -= count;
    this.#pieces = this.#have > 0 ? [all.subarray(count)] : [];
    return all.subarray(0, count);
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (e) {
    throw new FrameError("a frame is not JSON", { cause: e });
  }
}
