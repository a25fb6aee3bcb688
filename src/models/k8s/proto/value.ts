import protobuf from "protobufjs/minimal.js";
import { toError } from "../../../base/errors/errors.ts";
import { ModelError } from "../../versioned-json.ts";
import { K8S_KINDS, type K8sKind, type ObjectName } from "../keys.ts";
import { type Field, messageOf } from "./messages.ts";
import { type Reading, readMessage } from "./read.ts";
import { UnfitError, writeMessage } from "./write.ts";

/** Of heddle.proto's values. */
export const VALUE_VERSION = 2;

const VALUE = messageOf("Value");
const VERSION_TAG = 0x08;
const BRACE = 0x7b;

const fieldOf = (name: string): Field => {
  const found = VALUE.fields.find((f) => f.name === name);
  if (!found) throw new TypeError(`heddle.proto has no value called ${name}`);
  return found;
};
const FIELDS = new Map(Object.keys(K8S_KINDS).map((kind) => [kind, fieldOf(kind)]));
const UNREADABLE = fieldOf("unreadable");

/** Whether a value is of the form that earlier Heddles wrote. Every other begins with its version. */
export const isJson = (value: Uint8Array): boolean => value[0] === BRACE;

/** Throws {@link ModelError} BAD_VALUE for a number that its field can't hold. */
export function encodeValue(kind: K8sKind, key: string, object: ObjectName): Uint8Array {
  try {
    return encoded(FIELDS.get(kind), object);
  } catch (e) {
    if (e instanceof UnfitError) throw new ModelError("BAD_VALUE", key, e.message);
    throw e;
  }
}

/** A value that nobody can read, so that whoever needs it fails closed; `why` is what they are told. */
export const encodeUnreadable = (why: string): Uint8Array => encoded(UNREADABLE, { why });

function encoded(field: Field | undefined, object: object): Uint8Array {
  if (!field?.message) throw new TypeError("no such value");
  const writer = protobuf.Writer.create();
  writer.uint32(VERSION_TAG).uint32(VALUE_VERSION).uint32(field.tag).fork();
  writeMessage(writer, field.message, object as Readonly<Record<string, unknown>>);
  return writer.ldelim().finish();
}

/** The object in the value of `key`, not checked any further. Throws {@link ModelError}. */
export function decodeValue(kind: K8sKind, key: string, value: Uint8Array): unknown {
  const bad = (what: string, cause?: unknown) => new ModelError("BAD_VALUE", key, what, { cause });
  if (value[0] !== VERSION_TAG) throw bad("the value is neither heddle.k8s.v1.Value nor JSON");
  const reader = protobuf.Reader.create(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
  const reading: Reading = { reader, path: [] };
  let object: Readonly<Record<string, unknown>>;
  try {
    reader.pos = 1;
    const version = reader.uint32();
    if (version > VALUE_VERSION) throw newer(key, version);
    if (version !== VALUE_VERSION) throw bad(`the value's version is ${version}, not ${VALUE_VERSION}`);
    object = readMessage(reading, VALUE, reader.len);
  } catch (e) {
    if (e instanceof ModelError) throw e;
    throw bad(`the value can't be read: ${[...reading.path, toError(e).message].join(": ")}`, e);
  }
  const unreadable = object["unreadable"] as { readonly why: string } | undefined;
  if (unreadable) throw bad(`the object couldn't be kept: ${unreadable.why}`);
  if (object[kind] !== undefined) return object[kind];
  const other = VALUE.fields.find((f) => f.type === "message" && object[f.name] !== undefined);
  throw bad(other ? `the value is a ${other.name}` : "the value is of a kind that this Heddle doesn't know");
}

const newer = (key: string, version: number): ModelError =>
  new ModelError(
    "NEWER_VERSION",
    key,
    `the value is of version ${version}, this Heddle knows version ${VALUE_VERSION}`,
  );
