import { VppSchemaError } from "../errors.ts";
import { type ApiSchema, BASE_SIZE, type BaseType, type Field, isBaseType, type TypeDef } from "../schema/model.ts";

/** How many bytes a type takes. */
export interface Size {
  /** Bytes that are there whatever the value; all of them if `fixed`. */
  readonly min: number;
  readonly fixed: boolean;
}

/** A type that is one number, truth value or big number on the wire, found behind aliases and enums. */
export type Scalar = BaseType;

const MAX_DEPTH = 32;

/** Sizes and shapes of a schema's types, each worked out once. */
export class Layout {
  readonly #schema: ApiSchema;
  readonly #sizes = new Map<string, Size>();

  constructor(schema: ApiSchema) {
    this.#schema = schema;
  }

  type(name: string): TypeDef {
    const type = this.#schema.types.get(name);
    if (!type) throw new VppSchemaError(`type ${name} is not defined`);
    return type;
  }

  /** The scalar that a type is in the end; undefined for arrays, structs, unions and strings. */
  scalar(name: string, depth = 0): Scalar | undefined {
    if (isBaseType(name)) return name;
    if (name === "string" || depth > MAX_DEPTH) return undefined;
    const type = this.type(name);
    if (type.kind === "enum") return type.base;
    return type.kind === "alias" && type.length === undefined ? this.scalar(type.type, depth + 1) : undefined;
  }

  sizeOf(name: string, depth = 0): Size {
    if (isBaseType(name)) return { min: BASE_SIZE[name], fixed: true };
    const known = this.#sizes.get(name);
    if (known) return known;
    if (depth > MAX_DEPTH) throw new VppSchemaError(`type ${name} contains itself`);
    const size = this.#measure(this.type(name), depth + 1);
    this.#sizes.set(name, size);
    return size;
  }

  /** One field, its array included. */
  fieldSize(field: Field, depth = 0): Size {
    if (field.type === "string") {
      return field.length === undefined ? { min: 4, fixed: false } : { min: field.length, fixed: true };
    }
    if (field.countedBy !== undefined) return { min: 0, fixed: false };
    const one = this.sizeOf(field.type, depth);
    return field.length === undefined ? one : { min: one.min * field.length, fixed: one.fixed };
  }

  fieldsSize(fields: readonly Field[], depth = 0): Size {
    let min = 0;
    let fixed = true;
    for (const field of fields) {
      const size = this.fieldSize(field, depth);
      min += size.min;
      fixed &&= size.fixed;
    }
    return { min, fixed };
  }

  #measure(type: TypeDef, depth: number): Size {
    switch (type.kind) {
      case "enum":
        return { min: BASE_SIZE[type.base], fixed: true };
      case "alias": {
        const one = this.sizeOf(type.type, depth);
        return { min: one.min * (type.length ?? 1), fixed: one.fixed };
      }
      case "struct":
        return this.fieldsSize(type.fields, depth);
      case "union": {
        const arms = type.fields.map((f) => this.fieldSize(f, depth));
        if (arms.some((a) => !a.fixed)) throw new VppSchemaError(`union ${type.name} has an arm of variable length`);
        return { min: Math.max(0, ...arms.map((a) => a.min)), fixed: true };
      }
    }
  }
}
