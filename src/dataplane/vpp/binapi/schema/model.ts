/** The types that VPP's API language is built of. `string` is either a fixed array of bytes or counted by a u32. */
export type BaseType = "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "f64" | "bool";

/** Bytes on the wire. Integers are big-endian; an f64 travels in VPP's own byte order (`clib_host_to_net_f64`). */
export const BASE_SIZE: Readonly<Record<BaseType, number>> = {
  u8: 1,
  i8: 1,
  bool: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f64: 8,
};

export const isBaseType = (name: string): name is BaseType => Object.hasOwn(BASE_SIZE, name);

export interface Field {
  readonly name: string;
  /** A {@link BaseType}, `string`, or the name of a type without `vl_api_` and `_t`. */
  readonly type: string;
  /** Elements of a fixed array; bytes of a fixed string, its NUL included. */
  readonly length?: number;
  /** The field that holds the number of elements: an array of variable length. */
  readonly countedBy?: string;
  /** The value of a field that a sender leaves out. */
  readonly default?: number | boolean;
  /** The enum field beside this union that says which arm it holds. */
  readonly discriminator?: string;
  /** Of a union's arm: the name of the discriminator's value that selects it. */
  readonly case?: string;
}

export type TypeDef =
  | { readonly kind: "struct"; readonly name: string; readonly fields: readonly Field[] }
  | { readonly kind: "union"; readonly name: string; readonly fields: readonly Field[] }
  | {
      readonly kind: "enum";
      readonly name: string;
      readonly base: BaseType;
      /** Values are bits that can be combined. */
      readonly flags: boolean;
      readonly values: ReadonlyMap<string, number>;
    }
  | { readonly kind: "alias"; readonly name: string; readonly type: string; readonly length?: number };

export interface Message {
  readonly name: string;
  /** Eight hex digits over the message and all types in it: two messages of equal name and CRC are the same. */
  readonly crc: string;
  /** The API file that defines it, which for a plugin's messages tells the plugin. */
  readonly module: string;
  /** With the leading `_vl_msg_id`, `client_index` and `context`, as the file has them. */
  readonly fields: readonly Field[];
  readonly deprecated: boolean;
}

/** What VPP sends back for a request. */
export interface Service {
  readonly request: string;
  /** The final reply; for a `*_dump` without `streamMessage` the details. Absent if VPP answers nothing. */
  readonly reply?: string;
  /** Several messages come back. */
  readonly stream: boolean;
  /** Set where the stream's elements precede a final `reply` with a retval and a cursor. */
  readonly streamMessage?: string;
  /** What the request (`want_*`) subscribes to. */
  readonly events: readonly string[];
}

/** Everything that a VPP's API files say. */
export interface ApiSchema {
  readonly types: ReadonlyMap<string, TypeDef>;
  readonly messages: ReadonlyMap<string, Message>;
  /** By request. */
  readonly services: ReadonlyMap<string, Service>;
  /** By module: the file's own version, such as `3.2.1`. */
  readonly modules: ReadonlyMap<string, string>;
  /** Files that were left out, and why. */
  readonly problems: readonly string[];
}

/** Fields that the transport fills in; they lead a message, in one of a few combinations. */
export const HEADER_FIELDS: ReadonlySet<string> = new Set(["_vl_msg_id", "client_index", "context"]);

export interface Header {
  /** Bytes of the leading transport fields. */
  readonly size: number;
  /** Offset of `client_index` in the message, or -1. */
  readonly clientIndexAt: number;
  /** Offset of `context` in the message, or -1: an event belongs to no request. */
  readonly contextAt: number;
  /** How many fields they are. */
  readonly fields: number;
}

/** The transport's part of a message. */
export function headerOf(message: Pick<Message, "fields">): Header {
  const header = { size: 0, clientIndexAt: -1, contextAt: -1, fields: 0 };
  for (const f of message.fields) {
    if (!HEADER_FIELDS.has(f.name)) break;
    if (f.name === "client_index") header.clientIndexAt = header.size;
    if (f.name === "context") header.contextAt = header.size;
    header.size += f.name === "_vl_msg_id" ? 2 : 4;
    header.fields++;
  }
  return header;
}
