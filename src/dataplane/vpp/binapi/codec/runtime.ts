import { endianness } from "node:os";
import { VppDecodeError, VppEncodeError, VppProtocolError } from "../errors.ts";
import * as text from "./text.ts";

/** Where decoding stands in a received message. Reading never passes `end`. */
export interface Cursor {
  b: Buffer;
  /** The same bytes as `b`, from the same first one. */
  w: DataView;
  o: number;
  end: number;
}

const NO_ITEMS: readonly unknown[] = [];
const NO_BYTES = new Uint8Array(0);
const MAX_SHOWN = 80;

/** Refuses a value of the wrong type or range, or a missing one. */
function bad(where: string, value: unknown, want: string): never {
  if (value === undefined) throw new VppEncodeError(`${where} is missing (${want})`);
  const shown = typeof value === "bigint" ? `${value}n` : (JSON.stringify(value, bigintText) ?? typeof value);
  throw new VppEncodeError(`${where}: ${shown.slice(0, MAX_SHOWN)} is not ${want}`);
}

const bigintText = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}n` : value);

/** The message ends before its schema does. */
function short(where: string): never {
  throw new VppProtocolError(`the message ends inside ${where}`);
}

function unreadable(where: string, want: string): never {
  throw new VppDecodeError(`${where} is not ${want}`);
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

function items(value: unknown, max: number, where: string): readonly unknown[] {
  if (value === undefined) return NO_ITEMS;
  if (!Array.isArray(value)) return bad(where, value, "an array");
  if (value.length > max) bad(where, `an array of ${value.length}`, `an array of at most ${max}`);
  return value;
}

function bytes(value: unknown, max: number, where: string): Uint8Array {
  if (value === undefined) return NO_BYTES;
  if (!(value instanceof Uint8Array)) return bad(where, value, "a Uint8Array");
  if (value.length > max) bad(where, `${value.length} bytes`, `at most ${max} bytes`);
  return value;
}

/** Exactly `length` bytes, or zeros where the sender leaves them out: half a key is a mistake, not a short key. */
function putBytes(b: Buffer, o: number, value: unknown, length: number, where: string): void {
  if (value === undefined) return;
  if (!(value instanceof Uint8Array) || value.length !== length) bad(where, value, `a Uint8Array of ${length} bytes`);
  b.set(value, o);
}

/** Small arrays are copied faster by hand than by a view and `set`. */
function getBytes(b: Buffer, o: number, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  if (length <= 32) for (let i = 0; i < length; i++) copy[i] = b[o + i] ?? 0;
  else copy.set(b.subarray(o, o + length));
  return copy;
}

function stringSize(value: unknown, where: string): number {
  if (value === undefined) return 0;
  if (typeof value !== "string") return bad(where, value, "a text");
  return Buffer.byteLength(value);
}

/** A u32 with the length, then the text without a NUL. Returns where it ends. */
function putString(b: Buffer, o: number, value: string | undefined, where: string): number {
  if (value === undefined || value === "") return o + 4;
  const length = putText(b, o + 4, value, where);
  b.writeUInt32BE(length, o);
  return o + 4 + length;
}

/** Text and zeros; at least one, as VPP's C code expects. */
function putFixedString(b: Buffer, o: number, value: unknown, length: number, where: string): void {
  if (value === undefined || value === "") return;
  if (typeof value !== "string") bad(where, value, "a text");
  if (Buffer.byteLength(value) >= length) bad(where, value, `a text of at most ${length - 1} bytes`);
  putText(b, o, value, where);
}

function putText(b: Buffer, o: number, value: string, where: string): number {
  for (let i = 0; i < value.length; i++) {
    const c = value.charCodeAt(i);
    if (c === 0) bad(where, value, "a text without NUL");
    if (c > 127) return b.write(value, o, "utf8");
    b[o + i] = c;
  }
  return value.length;
}

function getString(b: Buffer, o: number, length: number): string {
  return length === 0 ? "" : b.toString("utf8", o, o + length);
}

function getFixedString(b: Buffer, o: number, length: number): string {
  let end = o;
  while (end < o + length && b[end] !== 0) end++;
  return getString(b, o, end - o);
}

/** Accepts a number too, as long as it is a whole one that a number can hold exactly. */
function big(value: unknown, signed: boolean, where: string): bigint {
  const want = signed ? "an i64" : "a u64";
  if (typeof value === "number" && !Number.isSafeInteger(value)) bad(where, value, want);
  if (typeof value !== "number" && typeof value !== "bigint") return bad(where, value, want);
  const n = BigInt(value);
  if ((signed ? BigInt.asIntN(64, n) : BigInt.asUintN(64, n)) !== n) bad(where, value, want);
  return n;
}

/** What generated code may call. VPP leaves an f64 in its own byte order; the socket never leaves the machine. */
export const runtime = {
  ...text,
  LITTLE: endianness() === "LE",
  bad,
  short,
  unreadable,
  isObject,
  items,
  bytes,
  putBytes,
  getBytes,
  stringSize,
  putString,
  putFixedString,
  getString,
  getFixedString,
  big,
};

/** The parameter list under which generated code sees {@link runtime}. */
export const RUNTIME_NAMES: readonly string[] = Object.keys(runtime);
