import { isUtf8 } from "node:buffer";
import type { Reader } from "protobufjs/minimal.js";
import { DELIMITED, type Field, type Message, wireTypeOf } from "./messages.ts";

/** Bytes that are not what heddle.proto says. The message says why; {@link Reading.path} where. */
export class MalformedError extends Error {}

/** Where a reader is, for people; left as it was when something goes wrong. */
export interface Reading {
  readonly reader: Reader;
  readonly path: string[];
}

type Members = Record<string, unknown>;

/** Takes names of fields that nobody knows. */
type Unknown = (name: string) => void;

/**
 * A message up to `end`. Fields that it doesn't have come to stand in the member `unknown` of the nearest message around
 * them that has one, else in `beyond`. Throws {@link MalformedError}, or what the reader throws where bytes are lacking.
 */
export function readMessage(reading: Reading, message: Message, end: number, beyond: Unknown = () => {}): Members {
  const { reader, path } = reading;
  const value = absentMembers(message);
  let own: Set<string> | undefined;
  const unknown: Unknown = message.isOpen ? (name) => (own ??= new Set()).add(name) : beyond;
  while (reader.pos < end) {
    const tag = reader.uint32();
    const field = message.byNumber[tag >>> 3];
    if (!field) {
      if (tag >>> 3 === 0) throw new MalformedError("a field without a number");
      unknown(`field ${tag >>> 3}`);
      reader.skipType(tag & 7);
      continue;
    }
    path.push(field.name);
    if ((tag & 7) !== wireTypeOf(field.type)) throw new MalformedError(`wire type ${tag & 7}`);
    readField(reading, field, value, unknown);
    path.pop();
  }
  if (reader.pos !== end) throw new MalformedError("a field goes beyond its message");
  if (own) value["unknown"] = [...new Set([...((value["unknown"] as string[] | undefined) ?? []), ...own])].sort();
  return value;
}

/** What fields that are not on the wire stand for. */
function absentMembers(message: Message): Members {
  const value: Members = {};
  for (const { name, type, is } of message.fields) {
    if (is === "repeated") {
      if (name !== "unknown") value[name] = [];
    } else if (type === "map") value[name] = {};
    else if (is === "optional") continue;
    else if (type === "string") value[name] = "";
    else if (type === "bool") value[name] = false;
    else if (type === "uint32" || type === "int64" || type === "double") value[name] = 0;
  }
  return value;
}

function readField(reading: Reading, field: Field, value: Members, unknown: Unknown): void {
  if (field.type === "map") readEntry(reading, value[field.name] as Members);
  else if (field.is === "repeated") {
    const items = (value[field.name] ??= []) as unknown[];
    items.push(readOne(reading, field, unknown));
  } else value[field.name] = readOne(reading, field, unknown);
}

function readOne(reading: Reading, field: Field, unknown: Unknown): unknown {
  const { reader } = reading;
  switch (field.type) {
    case "string":
      return readText(reader);
    case "bool":
      return reader.bool();
    case "uint32":
      return reader.uint32();
    case "double":
      return reader.double();
    case "int64": {
      const long: unknown = reader.int64(); // a Long if that package is there
      const number = typeof long === "number" ? long : (long as { toNumber(): number }).toNumber();
      if (!Number.isSafeInteger(number)) throw new MalformedError("more than 53 bits");
      return number;
    }
    case "enum": {
      const number = reader.int32();
      const name = field.values[number];
      if (!name) throw new MalformedError(`value ${number}, which this Heddle doesn't know`);
      return name;
    }
    default:
      return readNested(reading, field, unknown);
  }
}

function readNested(reading: Reading, field: Field, unknown: Unknown): unknown {
  const { message } = field;
  if (!message) throw new TypeError(`${field.name} is no message`);
  const end = endOf(reading.reader);
  const within: Unknown = (name) => unknown(`${field.name}.${name}`);
  const value = readMessage(reading, message, end, message.isOpen ? undefined : within);
  return message.items ? value["items"] : value;
}

function endOf(reader: Reader): number {
  const length = reader.uint32();
  const end = reader.pos + length;
  const left = reader.len - reader.pos;
  if (length > left) throw new MalformedError(`${length} bytes are said to follow, there are ${left}`);
  return end;
}

function readEntry({ reader }: Reading, map: Members): void {
  const end = endOf(reader);
  let [key, text] = ["", ""];
  while (reader.pos < end) {
    const tag = reader.uint32();
    if ((tag & 7) === DELIMITED && tag >>> 3 === 1) key = readText(reader);
    else if ((tag & 7) === DELIMITED && tag >>> 3 === 2) text = readText(reader);
    else reader.skipType(tag & 7);
  }
  if (reader.pos !== end) throw new MalformedError("a field goes beyond its message");
  // No object can have it as a member of its own by assignment: it must not get lost silently.
  if (key === "__proto__") throw new MalformedError(`an entry is called ${key}`);
  map[key] = text;
}

const SHARED_LENGTH = 40;
const SHARED = 4096;
const recent: string[] = Array.from({ length: SHARED }, () => "");

/** The same text as of late, if it is one: namespaces, nodes, labels and ports have the same names in thousands of objects. */
function shared(text: string): string {
  if (text.length > SHARED_LENGTH) return text;
  let hash = 0;
  for (let i = 0; i < text.length; i++) hash = (hash * 31 + text.charCodeAt(i)) | 0;
  const at = hash & (SHARED - 1);
  const known = recent[at];
  if (known === text) return known;
  recent[at] = text;
  return text;
}

/** The reader takes any bytes, with U+FFFD for those that are no text. */
function readText(reader: Reader): string {
  const at = reader.pos;
  const text = reader.string();
  if (!text.includes("\uFFFD")) return shared(text);
  const end = reader.pos;
  reader.pos = at;
  const bytes = reader.bytes();
  if (reader.pos !== end || !isUtf8(bytes)) throw new MalformedError("no UTF-8");
  return text;
}
