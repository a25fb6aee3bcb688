import { VppMessageUnavailableError, VppSchemaError } from "../errors.ts";
import { type ApiSchema, type Header, headerOf, type Message } from "../schema/model.ts";
import { DecodeEmitter } from "./emit-decode.ts";
import { EncodeEmitter } from "./emit-encode.ts";
import { type Cursor, RUNTIME_NAMES, runtime } from "./runtime.ts";
import { Shapes } from "./shapes.ts";

/** A message's fields by their schema names, without those that the transport fills in or that count an array. */
export type MessageValue = Readonly<Record<string, unknown>>;

/** Turns one message into bytes and back. */
export interface MessageCodec {
  readonly message: Message;
  readonly header: Header;
  /** The exact number of bytes of the message, from its number on. Throws `VppEncodeError`. */
  size(value: MessageValue): number;
  /**
   * Writes the message at `o` into bytes that are zero, leaving the transport's fields alone; returns where it ends.
   * `w` shows the same bytes as `b`. Throws `VppEncodeError` for a value that does not fit.
   */
  encode(b: Buffer, w: DataView, o: number, value: MessageValue): number;
  /**
   * Reads the message that begins at the cursor and moves the cursor behind it. Throws `VppProtocolError` when the
   * message ends too early, `VppDecodeError` when a value has no meaning. Nothing in the result refers to `cursor.b`.
   */
  decode(cursor: Cursor): MessageValue;
}

export interface CodecOptions {
  /**
   * How addresses, prefixes and MACs appear: as canonical text (`"10.1.2.0/24"`, the default), or as the schema's own
   * structure of numbers and bytes.
   */
  readonly addresses?: "text" | "raw";
}

type Compiled = (...args: never[]) => unknown;

/**
 * The codecs of a schema. Each message's code is generated when it is first asked for (0.1 to 1 ms) and kept; 1,600
 * messages that nobody uses cost nothing. Generated code is five to eight times faster than closures that are put
 * together from the schema. Integers are numbers, except u64 and i64, which are `bigint`.
 */
export class Codecs {
  readonly schema: ApiSchema;
  readonly #shapes: Shapes;
  readonly #codecs = new Map<string, MessageCodec>();
  readonly #functions = new Map<string, Compiled>();

  constructor(schema: ApiSchema, options: CodecOptions = {}) {
    this.schema = schema;
    this.#shapes = new Shapes(schema, options.addresses !== "raw");
  }

  /** Throws {@link VppMessageUnavailableError} for a message that the API files do not have. */
  get(name: string): MessageCodec {
    let codec = this.#codecs.get(name);
    if (!codec) {
      const message = this.schema.messages.get(name);
      if (!message) throw new VppMessageUnavailableError(name, "VPP's API files have no such message");
      this.#codecs.set(name, (codec = this.#compile(message)));
    }
    return codec;
  }

  /** One message as bytes, for tests and tools; the client writes into its own buffer. */
  encode(name: string, value: MessageValue): Buffer {
    const codec = this.get(name);
    const b = Buffer.alloc(codec.size(value));
    codec.encode(b, new DataView(b.buffer, b.byteOffset, b.length), 0, value);
    return b;
  }

  /** The inverse of {@link encode}; bytes behind the message are ignored, as VPP's own clients do. */
  decode(name: string, bytes: Uint8Array): MessageValue {
    return this.get(name).decode(cursorOf(bytes));
  }

  #compile(message: Message): MessageCodec {
    const header = headerOf(message);
    const fields = message.fields.slice(header.fields);
    const encoder = new EncodeEmitter(this.#shapes);
    const decoder = new DecodeEmitter(this.#shapes);
    const size = encoder.size(message.name, fields, header.size);
    const encode = encoder.encode(message.name, fields, header.size);
    const decode = decoder.variable(message.name, fields, header.size);
    const build = (source: string, uses: ReadonlySet<string>) => this.#build(source, uses);
    return {
      message,
      header,
      size: build(size, encoder.uses) as MessageCodec["size"],
      encode: build(encode, encoder.uses) as MessageCodec["encode"],
      decode: build(decode, decoder.uses) as MessageCodec["decode"],
    };
  }

  /** The code of `source` with the functions it uses, which are generated first. */
  #build(source: string, uses: ReadonlySet<string>): Compiled {
    const names = [...uses];
    const functions = names.map((name) => this.#function(name));
    // oxlint-disable-next-line typescript/no-implied-eval, no-new-func -- built from identifiers the parser let through
    const make = new Function(...RUNTIME_NAMES, ...names, `"use strict"; return ${source};`);
    return make(...Object.values(runtime), ...functions) as Compiled;
  }

  /** `s_`, `e_` or `d_` and a type, or a union, `$` and the enum of its discriminator. */
  #function(name: string): Compiled {
    let fn = this.#functions.get(name);
    if (!fn) this.#functions.set(name, (fn = this.#generate(name.slice(0, 1), name.slice(2))));
    return fn;
  }

  #generate(what: string, name: string): Compiled {
    const [typeName = "", tagType] = name.split("$");
    const type = this.#shapes.layout.type(typeName);
    const encoder = new EncodeEmitter(this.#shapes);
    const decoder = new DecodeEmitter(this.#shapes);
    if (type.kind === "union") {
      const { min } = this.#shapes.layout.sizeOf(typeName);
      const cases = type.fields.map((arm) =>
        tagType === undefined ? undefined : this.#shapes.caseValue(type.fields, arm.name, { name: "", type: tagType }),
      );
      return what === "e"
        ? this.#build(encoder.union(typeName, type.fields, cases, min), encoder.uses)
        : this.#build(decoder.union(typeName, type.fields, cases, min), decoder.uses);
    }
    if (type.kind === "alias" && type.length === undefined) return this.#generate(what, type.type);
    if (type.kind !== "struct") throw new VppSchemaError(`type ${typeName} can't stand where it does`);
    if (what === "s") return this.#build(encoder.size(typeName, type.fields, 0), encoder.uses);
    if (what === "e") return this.#build(encoder.encode(typeName, type.fields, 0), encoder.uses);
    return this.#shapes.layout.sizeOf(typeName).fixed
      ? this.#build(decoder.fixed(typeName, type.fields), decoder.uses)
      : this.#build(decoder.variable(typeName, type.fields, 0), decoder.uses);
  }
}

/** A cursor over one message. */
export function cursorOf(bytes: Uint8Array): Cursor {
  const b = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return { b, w: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), o: 0, end: bytes.length };
}
