import type { BaseType, Field } from "../schema/model.ts";
import type { Shapes } from "./shapes.ts";

/**
 * Source text of the functions that read values. A type of fixed size is read by one expression, its bounds having been
 * checked by whoever calls it; a variable one moves a cursor and checks before each run of fixed fields:
 *
 *     (b, w, o) => ({ sw_if_index: w.getUint32(o), …, nh: d_fib_path_nh(b, w, o + 26), … })
 *
 * Fields that count an array are not in the result: the array has a length.
 */
export class DecodeEmitter {
  /** Functions of other types that the code calls: `d_`ecode. */
  readonly uses = new Set<string>();
  readonly #shapes: Shapes;

  constructor(shapes: Shapes) {
    this.#shapes = shapes;
  }

  /** `(b, w, o) => value`, of a struct of fixed size. */
  fixed(owner: string, fields: readonly Field[]): string {
    let at = 0;
    const parts: string[] = [];
    for (const f of fields) {
      parts.push(`${f.name}: ${this.#fixedField(f, at === 0 ? "o" : `o + ${at}`, `${owner}.${f.name}`, fields, at)}`);
      at += this.#shapes.layout.fieldSize(f).min;
    }
    return `(b, w, o) => ({ ${parts.join(",\n")} })`;
  }

  /** `(c) => value`, of a struct or message, `skip` bytes behind the cursor. */
  variable(owner: string, fields: readonly Field[], skip: number): string {
    const { layout } = this.#shapes;
    const lines = [`const b = c.b, w = c.w, end = c.end; let o = c.o + ${skip};`];
    const parts: string[] = [];
    for (let i = 0; i < fields.length; ) {
      // One bounds check for a run of fixed fields.
      const run: Field[] = [];
      while (i < fields.length && layout.fieldSize(fields[i] as Field).fixed) run.push(fields[i++] as Field);
      const bytes = layout.fieldsSize(run).min;
      if (bytes > 0) lines.push(`if (o + ${bytes} > end) short(${quote(owner)});`);
      let at = 0;
      for (const f of run) {
        const place = at === 0 ? "o" : `o + ${at}`;
        lines.push(`const f_${f.name} = ${this.#fixedField(f, place, `${owner}.${f.name}`, fields, undefined)};`);
        at += layout.fieldSize(f).min;
        if (!fields.some((other) => other.countedBy === f.name)) parts.push(`${f.name}: f_${f.name}`);
      }
      if (bytes > 0) lines.push(`o += ${bytes};`);
      const next = fields[i];
      if (!next) break;
      i++;
      lines.push(...this.#variableField(next, owner));
      parts.push(`${next.name}: f_${next.name}`);
    }
    return `(c) => { ${lines.join("\n")}\nc.o = o;\nreturn { ${parts.join(", ")} }; }`;
  }

  /** `(b, w, o, tag) => { arm: value }`, or raw bytes for a tag without an arm. */
  union(name: string, arms: readonly Field[], cases: readonly (number | undefined)[], size: number): string {
    const options = arms.flatMap((arm, i) => {
      if (cases[i] === undefined) return [];
      return [
        `if (tag === ${cases[i]}) return { ${arm.name}: ${this.#fixedField(arm, "o", `${name}.${arm.name}`, arms, 0)} };`,
      ];
    });
    return `(b, w, o, tag) => { ${options.join("\n")}\nreturn getBytes(b, o, ${size}); }`;
  }

  /** `offset` is the field's place in a struct that is read by one expression: a tag is read there a second time. */
  #fixedField(f: Field, place: string, where: string, fields: readonly Field[], offset: number | undefined): string {
    if (f.type === "string") return `getFixedString(b, ${place}, ${f.length})`;
    if (f.length === undefined) return this.#one(f, place, where, fields, offset !== undefined);
    return this.#array(f.type, f.length, place, where);
  }

  #array(type: string, length: number, place: string, where: string): string {
    if (this.#shapes.layout.scalar(type) === "u8") return `getBytes(b, ${place}, ${length})`;
    const size = this.#shapes.layout.sizeOf(type).min;
    const at = (i: number) => (i === 0 ? place : `${place} + ${i * size}`);
    const one = (i: number) => this.#one({ name: "", type }, at(i), where, [], false);
    return `[${Array.from({ length }, (_, i) => one(i)).join(", ")}]`;
  }

  #variableField(f: Field, owner: string): string[] {
    const name = `f_${f.name}`;
    const where = quote(`${owner}.${f.name}`);
    if (f.type === "string") {
      return [
        `if (o + 4 > end) short(${where});`,
        `const n_${f.name} = w.getUint32(o); o += 4;`,
        `if (n_${f.name} > end - o) short(${where});`,
        `const ${name} = getString(b, o, n_${f.name}); o += n_${f.name};`,
      ];
    }
    const { min, fixed } = this.#shapes.layout.sizeOf(f.type);
    if (f.countedBy === undefined) return [`c.o = o; const ${name} = ${this.#use(f.type)}(c); o = c.o;`];
    const count = `f_${f.countedBy}`;
    // Compared before anything is allocated.
    const check = `if (${count} * ${Math.max(1, min)} > end - o) short(${where});`;
    if (this.#shapes.layout.scalar(f.type) === "u8") {
      return [check, `const ${name} = getBytes(b, o, ${count}); o += ${count};`];
    }
    const element = fixed ? this.#one({ name: "", type: f.type }, "o", `${owner}.${f.name}`, [], false) : "";
    const step = fixed
      ? `${name}.push(${element}); o += ${min};`
      : `c.o = o; ${name}.push(${this.#use(f.type)}(c)); o = c.o;`;
    return [check, `const ${name} = []; for (let i = 0; i < ${count}; i++) { ${step} }`];
  }

  #one(f: Field, place: string, where: string, fields: readonly Field[], oneExpression: boolean): string {
    const shape = this.#shapes.of(f.type);
    switch (shape.kind) {
      case "scalar":
        return get(shape.base, place);
      case "text":
        if (!shape.text.partial) return `${shape.text.read}(b, ${place})`;
        return `(${shape.text.read}(b, ${place}) ?? unreadable(${quote(where)}, ${quote(shape.text.want)}))`;
      case "bytes":
        return `getBytes(b, ${place}, ${shape.size})`;
      case "items":
        return this.#array(shape.of, shape.length, place, where);
      case "struct":
        return `${this.#use(shape.type.name)}(b, w, ${place})`;
      case "union": {
        const tag = fields.find((other) => other.name === f.discriminator);
        if (!tag) return `getBytes(b, ${place}, ${shape.size})`;
        const value = oneExpression
          ? get(this.#shapes.layout.scalar(tag.type) ?? "u8", this.#placeOf(tag, fields))
          : `f_${tag.name}`;
        return `${this.#use(`${shape.type.name}$${tag.type}`)}(b, w, ${place}, ${value})`;
      }
    }
  }

  #placeOf(tag: Field, fields: readonly Field[]): string {
    const before = fields.slice(0, fields.indexOf(tag));
    return `o + ${this.#shapes.layout.fieldsSize(before).min}`;
  }

  #use(type: string): string {
    this.uses.add(`d_${type}`);
    return `d_${type}`;
  }
}

const quote = (text: string): string => JSON.stringify(text);

function get(base: BaseType, place: string): string {
  switch (base) {
    case "u8":
      return `b[${place}]`;
    case "i8":
      return `w.getInt8(${place})`;
    case "bool":
      return `b[${place}] !== 0`;
    case "u16":
      return `w.getUint16(${place})`;
    case "i16":
      return `w.getInt16(${place})`;
    case "u32":
      return `w.getUint32(${place})`;
    case "i32":
      return `w.getInt32(${place})`;
    case "u64":
      return `w.getBigUint64(${place})`;
    case "i64":
      return `w.getBigInt64(${place})`;
    case "f64":
      return `w.getFloat64(${place}, LITTLE)`;
  }
}
