import type { BaseType, Field } from "../schema/model.ts";
import type { Shape, Shapes } from "./shapes.ts";

/**
 * Source text of the functions that measure and write values. The generated code looks like what one would write:
 *
 *     x = v.weight; if ((x & 255) !== x) bad("fib_path.weight", x, "a u8"); b[o + 12] = x;
 *
 * Names come from the schema parser, which lets identifiers through only. The bytes written to are zero beforehand, so
 * what is left out needs no code.
 */
export class EncodeEmitter {
  /** Functions of other types that the code calls: `s_`ize, `e_`ncode. */
  readonly uses = new Set<string>();
  readonly #shapes: Shapes;

  constructor(shapes: Shapes) {
    this.#shapes = shapes;
  }

  /** `(v) => bytes` over `fields`, with `extra` bytes for a header. */
  size(owner: string, fields: readonly Field[], extra: number): string {
    const { layout } = this.#shapes;
    const lines = [`let n = ${layout.fieldsSize(fields).min + extra};`];
    for (const f of fields) {
      if (layout.fieldSize(f).fixed) continue;
      const value = `v.${f.name}`;
      const where = quote(`${owner}.${f.name}`);
      if (f.type === "string") lines.push(`n += stringSize(${value}, ${where});`);
      else if (f.countedBy !== undefined) lines.push(...this.#countedSize(f, value, where));
      else lines.push(`n += ${this.#use("s", f.type)}(${value}) - ${layout.sizeOf(f.type).min};`);
    }
    return `(v) => { ${guard(owner)}\n${lines.join("\n")}\nreturn n; }`;
  }

  /** `(b, w, o, v) => end` over `fields`, the first of them `skip` bytes behind `o`. */
  encode(owner: string, fields: readonly Field[], skip: number): string {
    const lines: string[] = [];
    let base = "o";
    let at = skip;
    for (const [i, f] of fields.entries()) {
      const where = quote(`${owner}.${f.name}`);
      const place = at === 0 ? base : `${base} + ${at}`;
      const counts = fields.find((other) => other.countedBy === f.name);
      const size = this.#shapes.layout.fieldSize(f);
      if (counts) lines.push(...this.#count(f, counts, place, `${owner}.${counts.name}`));
      else if (size.fixed) lines.push(...this.#fixed(f, place, where, fields));
      else {
        lines.push(`const p${i} = ${this.#variable(f, place, where)};`);
        base = `p${i}`;
        at = 0;
        continue;
      }
      at += size.min;
    }
    return `(b, w, o, v) => { ${guard(owner)}\nlet x;\n${lines.join("\n")}\nreturn ${base} + ${at}; }`;
  }

  /** `(b, w, o, v, tag) => void`: the arm that the value names, or its raw bytes. */
  union(name: string, arms: readonly Field[], cases: readonly (number | undefined)[], size: number): string {
    const options = arms.map((arm, i) => {
      const where = quote(`${name}.${arm.name}`);
      const value = cases[i];
      const check =
        value === undefined
          ? ""
          : `if (tag !== undefined && tag !== ${value}) bad(${where}, tag, "its discriminator");`;
      return `if (v.${arm.name} !== undefined) { ${check}\n${this.#fixed(arm, "o", where, arms).join("\n")}\nreturn; }`;
    });
    const names = arms.map((a) => a.name).join(", ");
    return `(b, w, o, v, tag) => { let x; if (v instanceof Uint8Array) { putBytes(b, o, v, ${size}, ${quote(name)}); return; }
${guard(name)}\n${options.join("\n")}\nbad(${quote(name)}, v, ${quote(`one of ${names}`)}); }`;
  }

  #countedSize(f: Field, value: string, where: string): string[] {
    const element = this.#element(f.type);
    if (element.scalar === "u8") return [`n += bytes(${value}, ${MAX_ITEMS}, ${where}).length;`];
    const list = `items(${value}, ${MAX_ITEMS}, ${where})`;
    if (element.fixed) return [`n += ${list}.length * ${element.min};`];
    return [`for (const x of ${list}) n += ${this.#use("s", f.type)}(x);`];
  }

  /** The number of elements of a later array, which keeps the array in a variable for its own turn. */
  #count(f: Field, array: Field, place: string, where: string): string[] {
    const base = this.#shapes.layout.scalar(f.type) ?? "u32";
    const max = base === "u8" ? 0xff : base === "u16" ? 0xffff : MAX_ITEMS;
    const check = this.#element(array.type).scalar === "u8" ? "bytes" : "items";
    return [
      `const a_${array.name} = ${check}(v.${array.name}, ${max}, ${quote(where)});`,
      ...put(base, place, `a_${array.name}.length`),
    ];
  }

  #variable(f: Field, place: string, where: string): string {
    if (f.type === "string") return `putString(b, ${place}, v.${f.name}, ${where})`;
    if (f.countedBy === undefined) return `${this.#use("e", f.type)}(b, w, ${place}, v.${f.name})`;
    const array = `a_${f.name}`;
    const element = this.#element(f.type);
    if (element.scalar === "u8") return `(b.set(${array}, ${place}), ${place} + ${array}.length)`;
    const body = element.fixed
      ? `for (const y of ${array}) { ${this.#one(f, "y", "q", where, []).join(" ")} q += ${element.min}; }`
      : `for (const y of ${array}) q = ${this.#use("e", f.type)}(b, w, q, y);`;
    return `((q) => { ${body} return q; })(${place})`;
  }

  #fixed(f: Field, place: string, where: string, fields: readonly Field[]): string[] {
    const value = `v.${f.name}`;
    if (f.type === "string") return [`putFixedString(b, ${place}, ${value}, ${f.length}, ${where});`];
    if (f.length === undefined) return this.#one(f, value, place, where, fields);
    return this.#array(f.type, f.length, value, place, where);
  }

  #array(type: string, length: number, value: string, place: string, where: string): string[] {
    if (this.#shapes.layout.scalar(type) === "u8") return [`putBytes(b, ${place}, ${value}, ${length}, ${where});`];
    const size = this.#shapes.layout.sizeOf(type).min;
    const one = this.#one({ name: "", type }, "y", "q", where, []);
    return [
      `{ let q = ${place}; for (const y of items(${value}, ${length}, ${where})) { ${one.join(" ")} q += ${size}; } }`,
    ];
  }

  /** One element of fixed size. */
  #one(f: Field, value: string, place: string, where: string, fields: readonly Field[]): string[] {
    const shape = this.#shapes.of(f.type);
    switch (shape.kind) {
      case "scalar":
        return scalar(shape, f, value, place, where);
      case "text":
        return [`if (!${shape.text.write}(b, ${place}, x = ${value})) bad(${where}, x, ${quote(shape.text.want)});`];
      case "bytes":
        return [`putBytes(b, ${place}, ${value}, ${shape.size}, ${where});`];
      case "items":
        return this.#array(shape.of, shape.length, value, place, where);
      case "struct":
        return [`${this.#use("e", shape.type.name)}(b, w, ${place}, ${value});`];
      case "union": {
        const tag = fields.find((other) => other.name === f.discriminator);
        const by = tag ? `${shape.type.name}$${tag.type}` : shape.type.name;
        return [`${this.#use("e", by)}(b, w, ${place}, ${value}, ${tag ? `v.${tag.name}` : "undefined"});`];
      }
    }
  }

  #element(type: string): { scalar: BaseType | undefined; min: number; fixed: boolean } {
    return { scalar: this.#shapes.layout.scalar(type), ...this.#shapes.layout.sizeOf(type) };
  }

  #use(prefix: "s" | "e", type: string): string {
    const name = `${prefix}_${type}`;
    this.uses.add(name);
    return name;
  }
}

/** Elements of an array counted by a u32: what fits in any frame. */
const MAX_ITEMS = 1 << 24;

const quote = (text: string): string => JSON.stringify(text);

const guard = (owner: string): string => `if (!isObject(v)) bad(${quote(owner)}, v, "an object");`;

function scalar(shape: Shape & { kind: "scalar" }, f: Field, value: string, place: string, where: string): string[] {
  const { base } = shape;
  const absent = f.default === undefined ? (shape.flags ? "0" : undefined) : literal(f.default, base);
  const load = absent === undefined ? `x = ${value};` : `x = ${value}; if (x === undefined) x = ${absent};`;
  if (base === "u64" || base === "i64") {
    return [load, ...put(base, place, `big(x, ${base === "i64"}, ${where})`)];
  }
  const [test, want] = CHECKS[base];
  return [`${load} if (${test}) bad(${where}, x, ${quote(want)});`, ...put(base, place, "x")];
}

/** When a value is refused. Comparing with its own truncation catches ranges, fractions, types and absence at once. */
const CHECKS: Readonly<Record<Exclude<BaseType, "u64" | "i64">, readonly [string, string]>> = {
  u8: ["(x & 255) !== x", "a u8"],
  i8: ["(x << 24 >> 24) !== x", "an i8"],
  u16: ["(x & 65535) !== x", "a u16"],
  i16: ["(x << 16 >> 16) !== x", "an i16"],
  u32: ["(x >>> 0) !== x", "a u32"],
  i32: ["(x | 0) !== x", "an i32"],
  f64: [`typeof x !== "number"`, "a number"],
  bool: [`typeof x !== "boolean"`, "true or false"],
};

function literal(value: number | boolean, base: BaseType): string {
  if (base === "bool") return String(Boolean(value));
  return base === "u64" || base === "i64" ? `${BigInt(value)}n` : String(Number(value));
}

function put(base: BaseType, place: string, value: string): string[] {
  switch (base) {
    case "u8":
    case "i8":
      return [`b[${place}] = ${value};`];
    case "bool":
      return [`b[${place}] = ${value} ? 1 : 0;`];
    case "u16":
      return [`w.setUint16(${place}, ${value});`];
    case "i16":
      return [`w.setInt16(${place}, ${value});`];
    case "u32":
      return [`w.setUint32(${place}, ${value});`];
    case "i32":
      return [`w.setInt32(${place}, ${value});`];
    case "u64":
      return [`w.setBigUint64(${place}, ${value});`];
    case "i64":
      return [`w.setBigInt64(${place}, ${value});`];
    case "f64":
      return [`w.setFloat64(${place}, ${value}, LITTLE);`];
  }
}
