import fc from "fast-check";
import { bytesToIp } from "../../../src/base/ip/address.ts";
import { bytesToMac } from "../../../src/base/ip/mac.ts";
import type { MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { TEXT_TYPES } from "../../../src/dataplane/vpp/binapi/codec/shapes.ts";
import {
  type ApiSchema,
  type BaseType,
  type Field,
  headerOf,
  isBaseType,
} from "../../../src/dataplane/vpp/binapi/schema/model.ts";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const ip4 = bytes(4).map(bytesToIp);
const ip6 = bytes(16).map(bytesToIp);
const prefix = (address: fc.Arbitrary<string>, max: number) =>
  fc.tuple(address, fc.integer({ min: 0, max })).map(([a, length]) => `${a}/${length}`);

const TEXTS: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ip4_address: ip4,
  ip6_address: ip6,
  mac_address: bytes(6).map(bytesToMac),
  address: fc.oneof(ip4, ip6),
  prefix: fc.oneof(prefix(ip4, 32), prefix(ip6, 128)),
  ip4_prefix: prefix(ip4, 32),
  ip6_prefix: prefix(ip6, 128),
};

const int = (min: number, max: number) => fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max));

const BASES: Readonly<Record<BaseType, fc.Arbitrary<unknown>>> = {
  u8: int(0, 0xff),
  i8: int(-0x80, 0x7f),
  u16: int(0, 0xffff),
  i16: int(-0x8000, 0x7fff),
  u32: int(0, 0xffff_ffff),
  i32: int(-0x8000_0000, 0x7fff_ffff),
  u64: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  i64: fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }),
  // Without subnormal ones: libraries that a Python process loads may have its processor flush them to zero.
  f64: fc.double({ noNaN: true }).filter((v) => v === 0 || Math.abs(v) >= 2.2250738585072014e-308),
  bool: fc.boolean(),
};

/** Texts of up to `max` bytes, some of them not ASCII. NUL can't be sent. */
const string = (max: number) =>
  fc
    .oneof(fc.string({ maxLength: Math.min(max, 40) }), fc.string({ unit: "grapheme", maxLength: Math.min(max, 20) }))
    .map((s) => s.replaceAll("\0", "").normalize())
    .map((s) => (Buffer.byteLength(s) <= max ? s : s.slice(0, Math.floor(max / 4))))
    .filter((s) => s.isWellFormed());

/** Any value of any message of a schema, made once per message and type. */
export class ArbitraryMessages {
  readonly #schema: ApiSchema;
  readonly #texts: boolean;

  /** With `texts` false, addresses are structures, as in codecs made with `addresses: "raw"`. */
  constructor(schema: ApiSchema, texts: boolean) {
    this.#schema = schema;
    this.#texts = texts;
  }

  of(name: string): fc.Arbitrary<MessageValue> {
    const message = this.#schema.messages.get(name);
    if (!message) throw new Error(`no message ${name}`);
    return this.#fields(message.fields.slice(headerOf(message).fields));
  }

  #fields(fields: readonly Field[]): fc.Arbitrary<Record<string, unknown>> {
    const counts = new Set(fields.map((f) => f.countedBy));
    const discriminators = new Map(fields.flatMap((f) => (f.discriminator ? [[f.discriminator, f] as const] : [])));
    const plain: Record<string, fc.Arbitrary<unknown>> = {};
    const tagged: fc.Arbitrary<Record<string, unknown>>[] = [];
    for (const f of fields) {
      const union = discriminators.get(f.name);
      if (counts.has(f.name)) continue;
      if (union) tagged.push(this.#tagged(f, union));
      else if (f.discriminator === undefined) plain[f.name] = this.#field(f);
    }
    return fc.tuple(fc.record(plain), ...tagged).map((parts) => {
      const value: Record<string, unknown> = Object.assign({}, ...parts);
      return value;
    });
  }

  /** A discriminator with the union it selects an arm of. */
  #tagged(tag: Field, union: Field): fc.Arbitrary<Record<string, unknown>> {
    const values = this.#schema.types.get(tag.type);
    const type = this.#schema.types.get(union.type);
    if (values?.kind !== "enum" || type?.kind !== "union") throw new Error(`${union.name} is no union by ${tag.name}`);
    const arms = type.fields.map((arm) => {
      const selected = values.values.get(arm.case ?? "");
      return this.#field(arm).map((value) => ({ [tag.name]: selected, [union.name]: { [arm.name]: value } }));
    });
    return fc.oneof(...arms);
  }

  #field(f: Field): fc.Arbitrary<unknown> {
    if (f.type === "string") return string(f.length === undefined ? 200 : f.length - 1);
    if (f.countedBy !== undefined) {
      return f.type === "u8" ? fc.uint8Array({ maxLength: 40 }) : fc.array(this.#type(f.type), { maxLength: 3 });
    }
    if (f.length === undefined) return this.#type(f.type);
    if (f.type === "u8") return bytes(f.length);
    return fc.array(this.#type(f.type), { minLength: f.length, maxLength: f.length });
  }

  #type(name: string): fc.Arbitrary<unknown> {
    if (isBaseType(name)) return BASES[name];
    const text = this.#texts ? TEXTS[name] : undefined;
    if (text && TEXT_TYPES.has(name)) return text;
    const type = this.#schema.types.get(name);
    switch (type?.kind) {
      case "enum":
        return BASES[type.base];
      case "alias":
        return this.#field({
          name: "",
          type: type.type,
          ...(type.length === undefined ? {} : { length: type.length }),
        });
      case "struct":
        return this.#fields(type.fields);
      case "union": {
        // Nobody says which arm it is: it travels as bytes.
        const size = Math.max(...type.fields.map((f) => this.#sizeOf(f)));
        return bytes(size);
      }
      case undefined:
        throw new Error(`no type ${name}`);
    }
  }

  #sizeOf(f: Field): number {
    const sizes: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };
    const type = this.#schema.types.get(f.type);
    const one =
      sizes[f.type] ??
      (type?.kind === "alias"
        ? this.#sizeOf({ name: "", type: type.type }) * (type.length ?? 1)
        : type?.kind === "enum"
          ? (sizes[type.base] ?? 0)
          : type?.kind === "struct"
            ? type.fields.reduce((sum, field) => sum + this.#sizeOf(field), 0)
            : Math.max(0, ...(type?.fields ?? []).map((field) => this.#sizeOf(field))));
    return one * (f.length ?? 1);
  }
}
