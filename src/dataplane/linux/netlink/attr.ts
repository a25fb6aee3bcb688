import { Reader, TruncatedError } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { bytesToIp, ipToBytes } from "./ip.ts";
import { bytesToMac, macToBytes } from "./mac.ts";
import { NetlinkFormatError } from "./nlmsg.ts";

/** The type's two high bits are flags (linux/netlink.h). */
export const NLA_F_NESTED = 0x8000;
export const NLA_TYPE_MASK = 0x3fff;
const NLA_HEADER_LENGTH = 4;
const ALIGNMENT = 4;

/** One attribute; `data` is a view of the input, `at` the offset of the attribute's header in it. */
export interface Attr {
  readonly type: number;
  readonly data: Uint8Array;
  readonly at: number;
}

/** The attributes that `bytes` consists of, in order. */
export function splitAttrs(bytes: Uint8Array): Attr[] {
  const attrs: Attr[] = [];
  const r = new Reader(bytes);
  // Up to three bytes of padding may follow the last attribute.
  while (r.remaining >= NLA_HEADER_LENGTH) {
    const at = r.at;
    const length = r.u16();
    const type = r.u16() & NLA_TYPE_MASK;
    if (length < NLA_HEADER_LENGTH) throw new NetlinkFormatError(`attribute ${type} has length ${length}`);
    attrs.push({ type, data: r.bytes(length - NLA_HEADER_LENGTH), at });
    r.align(ALIGNMENT);
  }
  return attrs;
}

/** An attribute is shorter: its place in a message is kept as one number, offset and length. */
const LENGTHS = 0x1_0000;
const offsetOf = (place: number): number => Math.floor(place / LENGTHS);
const lengthOf = (place: number): number => place % LENGTHS;

/** Attributes by type. Getters return undefined for what is absent; of repeated ones the last counts, as in the kernel. */
export class Attrs {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Offset and length of the data in one number: most attributes of a message are never looked at. */
  readonly #places = new Map<number, number>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    // Up to three bytes of padding may follow the last attribute.
    for (let at = 0; bytes.length - at >= NLA_HEADER_LENGTH; ) {
      const length = this.#view.getUint16(at, true);
      const type = this.#view.getUint16(at + 2, true) & NLA_TYPE_MASK;
      if (length < NLA_HEADER_LENGTH) throw new NetlinkFormatError(`attribute ${type} has length ${length}`);
      if (length > bytes.length - at) {
        const have = bytes.length - at - NLA_HEADER_LENGTH;
        throw new TruncatedError(length - NLA_HEADER_LENGTH, have, at + NLA_HEADER_LENGTH);
      }
      this.#places.set(type, (at + NLA_HEADER_LENGTH) * LENGTHS + length - NLA_HEADER_LENGTH);
      at += (length + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    }
  }

  has(type: number): boolean {
    return this.#places.has(type);
  }

  bytes(type: number): Uint8Array | undefined {
    const place = this.#places.get(type);
    if (place === undefined) return undefined;
    const at = offsetOf(place);
    return this.#bytes.subarray(at, at + lengthOf(place));
  }

  u8(type: number): number | undefined {
    const at = this.#number(type, 1);
    return at === undefined ? undefined : this.#bytes[at];
  }

  /** A u8 that is a switch. */
  bool(type: number): boolean | undefined {
    const value = this.u8(type);
    return value === undefined ? undefined : value !== 0;
  }

  u16(type: number): number | undefined {
    const at = this.#number(type, 2);
    return at === undefined ? undefined : this.#view.getUint16(at, true);
  }

  u32(type: number): number | undefined {
    const at = this.#number(type, 4);
    return at === undefined ? undefined : this.#view.getUint32(at, true);
  }

  i32(type: number): number | undefined {
    const at = this.#number(type, 4);
    return at === undefined ? undefined : this.#view.getInt32(at, true);
  }

  u64(type: number): bigint | undefined {
    const at = this.#number(type, 8);
    return at === undefined ? undefined : this.#view.getBigUint64(at, true);
  }

  u16be(type: number): number | undefined {
    const at = this.#number(type, 2);
    return at === undefined ? undefined : this.#view.getUint16(at);
  }

  u32be(type: number): number | undefined {
    const at = this.#number(type, 4);
    return at === undefined ? undefined : this.#view.getUint32(at);
  }

  /** Text up to its NUL, or up to the end where there is none. */
  string(type: number): string | undefined {
    const data = this.bytes(type);
    return data === undefined ? undefined : decodeString(data);
  }

  /** An IPv4 or IPv6 address, told by its length. */
  ip(type: number): string | undefined {
    const data = this.bytes(type);
    return data === undefined ? undefined : bytesToIp(data);
  }

  /** A link-layer address of any length, undefined when empty. */
  mac(type: number): string | undefined {
    const data = this.bytes(type);
    return data === undefined || data.length === 0 ? undefined : bytesToMac(data);
  }

  nested(type: number): Attrs | undefined {
    const data = this.bytes(type);
    return data === undefined ? undefined : new Attrs(data);
  }

  /** What a reader over a fixed structure makes of the attribute, which may be longer in newer kernels. */
  struct<T>(type: number, read: (r: Reader) => T): T | undefined {
    const data = this.bytes(type);
    return data === undefined ? undefined : read(new Reader(data));
  }

  /** Where the number begins. */
  #number(type: number, length: number): number | undefined {
    const place = this.#places.get(type);
    if (place === undefined) return undefined;
    const has = lengthOf(place);
    if (has !== length) {
      throw new NetlinkFormatError(`attribute ${type} has ${has} bytes where ${length} are expected`);
    }
    return offsetOf(place);
  }
}

/** The text of a string attribute: up to the first NUL. */
export function decodeString(data: Uint8Array): string {
  const end = data.indexOf(0);
  return Buffer.from(data.buffer, data.byteOffset, end < 0 ? data.length : end).toString("utf8");
}

/**
 * Appends attributes to a message. Every method but `nest` and `flag` leaves the attribute out when the value is
 * undefined, so that an optional field is one line.
 */
export class AttrWriter {
  readonly w: Writer;

  constructor(w: Writer = new Writer()) {
    this.w = w;
  }

  u8(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 1, (w) => w.u8(value));
  }

  bool(type: number, value: boolean | undefined): this {
    return value === undefined ? this : this.u8(type, value ? 1 : 0);
  }

  u16(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 2, (w) => w.u16(value));
  }

  u32(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 4, (w) => w.u32(value));
  }

  i32(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 4, (w) => w.i32(value));
  }

  u64(type: number, value: bigint | undefined): this {
    return value === undefined ? this : this.#put(type, 8, (w) => w.u64(value));
  }

  u16be(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 2, (w) => w.u16be(value));
  }

  u32be(type: number, value: number | undefined): this {
    return value === undefined ? this : this.#put(type, 4, (w) => w.u32be(value));
  }

  bytes(type: number, value: Uint8Array | undefined): this {
    return value === undefined ? this : this.#put(type, value.length, (w) => w.bytes(value));
  }

  /** Text with its NUL. Throws a RangeError for text that contains one. */
  string(type: number, value: string | undefined): this {
    if (value === undefined) return this;
    return this.bytes(type, encodeString(value, true));
  }

  /** Text without NUL, where the kernel takes the attribute's length (IFLA_INFO_KIND, TCA_KIND as `ip` sends them). */
  text(type: number, value: string | undefined): this {
    if (value === undefined) return this;
    return this.bytes(type, encodeString(value, false));
  }

  ip(type: number, value: string | undefined): this {
    return value === undefined ? this : this.bytes(type, ipToBytes(value));
  }

  mac(type: number, value: string | undefined): this {
    return value === undefined ? this : this.bytes(type, macToBytes(value));
  }

  /** An attribute whose presence says it all. */
  flag(type: number, value: boolean | undefined): this {
    return value ? this.#put(type, 0, () => {}) : this;
  }

  /** Attributes inside an attribute. Which nests carry NLA_F_NESTED is history; the callers do as iproute2 does. */
  nest(type: number, write: (attrs: this) => void): this {
    const at = this.w.length;
    this.w.u16(0).u16(type);
    write(this);
    this.w.patchU16(at, this.w.length - at);
    this.w.align(ALIGNMENT);
    return this;
  }

  #put(type: number, length: number, write: (w: Writer) => void): this {
    this.w.u16(NLA_HEADER_LENGTH + length).u16(type);
    write(this.w);
    this.w.align(ALIGNMENT);
    return this;
  }
}

function encodeString(value: string, terminated: boolean): Uint8Array {
  if (value.includes("\0")) throw new RangeError(`NUL in ${JSON.stringify(value)}`);
  return Buffer.from(terminated ? `${value}\0` : value, "utf8");
}

/** `T` with every optional property allowed to be undefined, as decoders find them. */
export type Found<T> = { [K in keyof T]: undefined extends T[K] ? T[K] | undefined : T[K] };

/** Drops what is undefined, so that an absent attribute is an absent property. */
export function present<T extends object>(found: { [K in keyof T]: T[K] | undefined }): T {
  const result: Record<string, unknown> = {};
  for (const key in found) if (found[key] !== undefined) result[key] = found[key];
  return result as T;
}
