import { HeddleError } from "../errors/errors.ts";

/** Input that ends before what it announced. `need` bytes were wanted at offset `at`, `have` were there. */
export class TruncatedError extends HeddleError<"TRUNCATED"> {
  readonly need: number;
  readonly have: number;
  readonly at: number;

  constructor(need: number, have: number, at: number) {
    super("TRUNCATED", `truncated input: ${need} bytes wanted at offset ${at}, ${have} left`);
    this.need = need;
    this.have = have;
    this.at = at;
  }
}

/**
 * Reads numbers and bytes in order, never past the end: every method throws {@link TruncatedError} instead. Plain names
 * are little-endian, which is the byte order of every machine Heddle runs on (x86-64, arm64); `be` is network order.
 */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  i16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u16be(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32be(): number {
    return this.#view.getUint32(this.#take(4));
  }

  u64be(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  /** The next `length` bytes as a view of the input, not a copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Everything that is left, as a view of the input. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** Skips to the next multiple of `to`, or to the end where the input stops before it (padding of the last item). */
  align(to: number): void {
    this.#at = Math.min(this.#bytes.length, Math.ceil(this.#at / to) * to);
  }

  #take(length: number): number {
    const at = this.#at;
    if (length < 0 || length > this.#bytes.length - at) throw new TruncatedError(length, this.#bytes.length - at, at);
    this.#at = at + length;
    return at;
  }
}
