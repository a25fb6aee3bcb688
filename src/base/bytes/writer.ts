/**
 * Writes numbers and bytes in order into a buffer that grows. Plain names are little-endian, `be` is network order, as
 * in `Reader`. A number that does not fit its field throws a RangeError: it is never cut off.
 */
export class Writer {
  #buffer: Buffer;
  #length = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
  }

  /** Bytes written so far, which is the offset of the next one. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  u64(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64LE(value, at);
    return this;
  }

  i16(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeInt16LE(value, at);
    return this;
  }

  i32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeInt32LE(value, at);
    return this;
  }

  u16be(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16BE(value, at);
    return this;
  }

  u32be(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32BE(value, at);
    return this;
  }

  u64be(value: bigint): this {
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64BE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.length);
    this.#buffer.set(value, at);
    return this;
  }

  zeros(count: number): this {
    const at = this.#reserve(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  /** Zeros up to the next multiple of `to`. */
  align(to: number): this {
    return this.zeros(Math.ceil(this.#length / to) * to - this.#length);
  }

  /** Writes over a 16-bit field that was written before, such as a length that is known only afterwards. */
  patchU16(at: number, value: number): void {
    this.#written(at, 2);
    this.#buffer.writeUInt16LE(value, at);
  }

  /** As {@link patchU16}, for 32 bits. */
  patchU32(at: number, value: number): void {
    this.#written(at, 4);
    this.#buffer.writeUInt32LE(value, at);
  }

  /** What was written, as a view: the writer is not used any more after it. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  #written(at: number, length: number): void {
    if (at < 0 || at + length > this.#length) throw new RangeError(`offset ${at} is outside of what was written`);
  }

  /** Makes room and returns where; `#buffer` may be another one afterwards. */
  #reserve(count: number): number {
    const at = this.#length;
    const end = at + count;
    if (end > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(end, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#length = end;
    return at;
  }
}
