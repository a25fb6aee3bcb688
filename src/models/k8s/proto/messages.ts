import { ENUMS, MESSAGES } from "./schema.ts";

type Scalar = "bool" | "double" | "int64" | "string" | "uint32";

/** A field as heddle.proto has it. */
interface FieldRow {
  readonly no: number;
  /** The member of our objects that it holds. */
  readonly name: string;
  /** A map is one of strings to strings. */
  readonly type: Scalar | "enum" | "map" | "message";
  /** Which message or enum. */
  readonly of?: string;
  /** Absent: a member that is always there; on the wire it is left out if it is "", 0, false or empty. */
  readonly is?: "optional" | "repeated";
}

export type MessageRows = Readonly<Record<string, readonly FieldRow[]>>;
export type EnumRows = Readonly<Record<string, readonly string[]>>;

/** A field, ready for use. */
export interface Field extends Omit<FieldRow, "of"> {
  /** What comes before its value on the wire. */
  readonly tag: number;
  readonly message: Message | undefined;
  readonly values: readonly string[];
  /** What numbers of values stand for, the other way round. */
  readonly numbers: ReadonlyMap<string, number>;
}

export interface Message {
  readonly name: string;
  /** By number, ascending: the order on the wire. */
  readonly fields: readonly Field[];
  readonly byNumber: readonly (Field | undefined)[];
  /** It names fields that nobody knows in its member `unknown`. */
  readonly isOpen: boolean;
  /** It stands for its only field: a list or a map that can be absent, too. */
  readonly items: Field | undefined;
}

/** Protobuf's wire types, of those that are used. */
export const VARINT = 0;
export const FIXED64 = 1;
export const DELIMITED = 2;

export const wireTypeOf = (type: Field["type"]): number =>
  type === "double" ? FIXED64 : type === "string" || type === "map" || type === "message" ? DELIMITED : VARINT;

const rows: MessageRows = MESSAGES;
const enums: EnumRows = ENUMS;
const made = new Map<string, Message>();

/** Throws for a name that heddle.proto doesn't have. No message contains itself. */
export function messageOf(name: string): Message {
  const known = made.get(name);
  if (known) return known;
  const found = rows[name];
  if (!found) throw new TypeError(`no such message: ${name}`);
  const fields = found.map(({ of, ...row }): Field => {
    const values = row.type === "enum" ? (enums[of ?? ""] ?? []) : [];
    return {
      ...row,
      tag: (row.no << 3) | wireTypeOf(row.type),
      message: row.type === "message" ? messageOf(of ?? "") : undefined,
      values,
      numbers: new Map(values.map((v, i) => [v, i])),
    };
  });
  const byNumber: (Field | undefined)[] = [];
  for (const field of fields) byNumber[field.no] = field;
  const [first] = fields;
  const message = {
    name,
    fields,
    byNumber,
    isOpen: fields.some((f) => f.name === "unknown"),
    items: fields.length === 1 && first?.name === "items" ? first : undefined,
  };
  made.set(name, message);
  return message;
}
