import { z } from "zod";
import { HeddleError } from "../base/errors/errors.ts";

export type ModelErrorCode =
  /** The key is not one of this model's; somebody else wrote below our prefix. */
  | "BAD_KEY"
  /** The value is not of the model's form, or lacks what the model demands. Whoever wrote it has a defect, or it was damaged. */
  | "BAD_VALUE"
  /** The value was written by a newer Heddle. Don't overwrite it; upgrade this one. */
  | "NEWER_VERSION";

/** A stored record that can't be used. The message names the key; skip the record and go on with the others. */
export class ModelError extends HeddleError<ModelErrorCode> {
  readonly key: string;

  constructor(code: ModelErrorCode, key: string, what: string, options?: ErrorOptions) {
    super(code, `${key}: ${what}`, options);
    this.key = key;
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * The value of `key`, JSON of the form `{"v": 1, …}`. Unknown members are dropped: within a version, newer Heddles may add
 * some. Throws {@link ModelError} BAD_VALUE or NEWER_VERSION.
 */
export function decodeVersioned<T>(key: string, value: Uint8Array, version: number, schema: z.ZodType<T>): T {
  let json: unknown;
  try {
    json = JSON.parse(utf8.decode(value));
  } catch (e) {
    throw new ModelError("BAD_VALUE", key, "the value is not JSON", { cause: e });
  }
  const v = typeof json === "object" && json !== null && "v" in json ? json.v : undefined;
  if (typeof v === "number" && v > version) {
    throw new ModelError("NEWER_VERSION", key, `the value is of version ${v}, this Heddle knows version ${version}`);
  }
  if (v !== version) throw new ModelError("BAD_VALUE", key, `the value's version "v" is not ${version}`);
  return checked(key, json, schema);
}

/** What the schema makes of a value that has been taken apart. Throws {@link ModelError} BAD_VALUE, naming every member that is wrong. */
export function checked<T>(key: string, value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map((i) => `${i.path.join(".") || "value"}: ${i.message}`);
  throw new ModelError("BAD_VALUE", key, issues.join("; "));
}

/** Members in the order given; absent ones are left out, so that equal records have equal bytes. */
export function encodeVersioned(version: number, fields: Readonly<Record<string, unknown>>): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ v: version, ...fields }));
}
