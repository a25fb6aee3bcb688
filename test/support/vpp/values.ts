import type { MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { TEXT_TYPES } from "../../../src/dataplane/vpp/binapi/codec/shapes.ts";
import { type ApiSchema, type Field, headerOf, isBaseType } from "../../../src/dataplane/vpp/binapi/schema/model.ts";

const ZERO_TEXTS: Readonly<Record<string, string>> = {
  ip4_address: "0.0.0.0",
  ip6_address: "::",
  mac_address: "00:00:00:00:00:00",
  address: "0.0.0.0",
  prefix: "0.0.0.0/0",
  ip4_prefix: "0.0.0.0/0",
  ip6_prefix: "::/0",
};

/** A message of zeros and empty texts: what a C program gets from memset. Addresses are texts. */
export function zeroMessage(schema: ApiSchema, name: string): MessageValue {
  const message = schema.messages.get(name);
  if (!message) throw new Error(`no message ${name}`);
  return zeroFields(schema, message.fields.slice(headerOf(message).fields));
}

function zeroFields(schema: ApiSchema, fields: readonly Field[]): Record<string, unknown> {
  const counts = new Set(fields.map((f) => f.countedBy));
  const value: Record<string, unknown> = {};
  for (const f of fields) if (!counts.has(f.name)) value[f.name] = zeroField(schema, f, fields);
  return value;
}

function zeroField(schema: ApiSchema, f: Field, fields: readonly Field[]): unknown {
  if (f.type === "string") return "";
  if (f.countedBy !== undefined) return f.type === "u8" ? new Uint8Array(0) : [];
  if (f.length !== undefined && f.type === "u8") return new Uint8Array(f.length);
  if (f.length !== undefined) return Array.from({ length: f.length }, () => zeroType(schema, f, fields));
  return zeroType(schema, f, fields);
}

function zeroType(schema: ApiSchema, f: Field, fields: readonly Field[]): unknown {
  if (f.type === "bool") return false;
  if (f.type === "u64" || f.type === "i64") return 0n;
  if (isBaseType(f.type)) return 0;
  const text = TEXT_TYPES.has(f.type) ? ZERO_TEXTS[f.type] : undefined;
  if (text !== undefined) return text;
  const type = schema.types.get(f.type);
  switch (type?.kind) {
    case "enum":
      return 0;
    case "alias":
      return zeroField(schema, { name: f.name, type: type.type, ...(type.length ? { length: type.length } : {}) }, []);
    case "struct":
      return zeroFields(schema, type.fields);
    case "union": {
      const tag = fields.find((other) => other.name === f.discriminator);
      const values = tag && schema.types.get(tag.type);
      const arm =
        values?.kind === "enum" ? type.fields.find((a) => values.values.get(a.case ?? "") === 0) : type.fields[0];
      return arm ? { [arm.name]: zeroType(schema, arm, type.fields) } : undefined;
    }
    case undefined:
      throw new Error(`no type ${f.type}`);
  }
}
