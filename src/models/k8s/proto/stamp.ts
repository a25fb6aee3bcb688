import protobuf from "protobufjs/minimal.js";
import { messageOf } from "./messages.ts";

/*
 * When the reflector learned of what a value says: `Value.learned_ms` of heddle.proto, behind the object. Equal objects have
 * equal bytes but for it.
 */

const TAG = messageOf("Value").fields.find(({ name }) => name === "learnedMs")?.tag ?? 0;
const BYTES = 8;

/** The value with a time, in milliseconds since 1970. */
export function stamped(value: Uint8Array, at: number): Uint8Array {
  const result = new Uint8Array(value.length + 1 + BYTES);
  result.set(value);
  result[value.length] = TAG;
  new DataView(result.buffer).setFloat64(value.length + 1, at, true);
  return result;
}

/** The value as it was before {@link stamped}. */
export const unstamped = (value: Uint8Array): Uint8Array => value.subarray(0, stampAt(value) ?? value.length);

/** The time; undefined for a value without one. */
export function stampOf(value: Uint8Array): number | undefined {
  const at = stampAt(value);
  return at === undefined
    ? undefined
    : new DataView(value.buffer, value.byteOffset + at + 1, BYTES).getFloat64(0, true);
}

/** Where the field begins that is the value's last. What is no value of heddle.proto has none. */
function stampAt(value: Uint8Array): number | undefined {
  const at = value.length - 1 - BYTES;
  if (at <= 0 || value[at] !== TAG) return undefined;
  // The byte might be one of an object that ends there.
  try {
    const reader = protobuf.Reader.create(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
    while (reader.pos < at) reader.skipType(reader.uint32() & 7);
    return reader.pos === at ? at : undefined;
  } catch {
    return undefined;
  }
}
