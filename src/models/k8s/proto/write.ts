import type { Writer } from "protobufjs/minimal.js";
import type { Field, Message } from "./messages.ts";

/** A member that its field can't hold. The message names it. */
export class UnfitError extends Error {}

type Members = Readonly<Record<string, unknown>>;

/** Members that the message doesn't have are left out. Throws {@link UnfitError}. */
export function writeMessage(writer: Writer, message: Message, value: Members): void {
  for (const field of message.fields) {
    const member = value[field.name];
    if (member !== undefined) writeField(writer, field, member);
  }
}

function writeField(writer: Writer, field: Field, value: unknown): void {
  switch (field.type) {
    case "message":
      if (field.is !== "repeated") writeNested(writer, field, value);
      else for (const item of value as readonly unknown[]) writeNested(writer, field, item);
      return;
    case "map":
      writeMap(writer, field, value as Members);
      return;
    case "string":
      if (field.is === "repeated") for (const item of value as readonly string[]) writeText(writer, field.tag, item);
      // Of a member of several types each has its field.
      else if (typeof value === "string" && (value !== "" || field.is)) writeText(writer, field.tag, value);
      return;
    case "double":
      if (typeof value === "number" && (value !== 0 || field.is)) writer.uint32(field.tag).double(value);
      return;
    case "bool":
      if (value === true || (value === false && field.is)) writer.uint32(field.tag).bool(value);
      return;
    case "uint32":
      if (!isWhole(value, 0, 0xffff_ffff)) throw unfit(field, value);
      if (value !== 0 || field.is) writer.uint32(field.tag).uint32(value);
      return;
    case "int64":
      if (!isWhole(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)) throw unfit(field, value);
      if (value !== 0 || field.is) writer.uint32(field.tag).int64(value);
      return;
    case "enum": {
      const number = typeof value === "string" ? field.numbers.get(value) : undefined;
      if (number === undefined || number === 0) throw unfit(field, value);
      writer.uint32(field.tag).int32(number);
    }
  }
}

const isWhole = (value: unknown, min: number, max: number): value is number =>
  Number.isInteger(value) && Number(value) >= min && Number(value) <= max;

const unfit = (field: Field, value: unknown): UnfitError =>
  new UnfitError(`${field.name}: ${JSON.stringify(value)} can't be kept`);

function writeNested(writer: Writer, field: Field, value: unknown): void {
  const { message } = field;
  if (!message) return;
  writer.uint32(field.tag).fork();
  if (message.items) writeField(writer, message.items, value);
  else writeMessage(writer, message, value as Members);
  writer.ldelim();
}

/** As entries of their own messages, `{1: key, 2: value}`; both always written, as Protobuf does it. */
function writeMap(writer: Writer, field: Field, value: Members): void {
  for (const key of Object.keys(value).sort()) {
    writer.uint32(field.tag).fork();
    writeText(writer, 0x0a, key);
    writeText(writer, 0x12, String(value[key]));
    writer.ldelim();
  }
}

/** Protobuf's text is Unicode: half of a surrogate pair, which no API server lets through, becomes U+FFFD. */
function writeText(writer: Writer, tag: number, text: string): void {
  writer.uint32(tag).string(text.isWellFormed() ? text : text.toWellFormed());
}
