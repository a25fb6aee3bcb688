import { fullMessage } from "../../base/errors/errors.ts";
import { InvalidValueError } from "../api/errors.ts";
import type { ValueStatus } from "../api/status.ts";

/** A status as JSON carries it: an error has no JSON of its own. */
export interface PlainStatus extends Omit<ValueStatus, "error" | "derived"> {
  readonly error?: string;
  /** Of an INVALID value: the paths inside it that were rejected. */
  readonly fields?: readonly string[];
  readonly derived: readonly PlainStatus[];
}

export function plainStatus(status: ValueStatus): PlainStatus {
  const { error, derived, ...rest } = status;
  return {
    ...rest,
    ...(error !== undefined && { error: fullMessage(error) }),
    ...(error instanceof InvalidValueError && error.fields.length > 0 && { fields: error.fields }),
    derived: derived.map(plainStatus),
  };
}

/** `JSON.stringify` for values that are opaque to us: what JSON does not know is written as text, never refused. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, replacer, indent) ?? "null";
}

function replacer(this: unknown, _: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex");
  if (value instanceof Map) return Object.fromEntries([...value].map(([k, v]) => [String(k), v]));
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return fullMessage(value);
  return value;
}

/** One line for a value, at most `max` characters. */
export function oneLine(value: unknown, max = 200): string {
  let line: string;
  try {
    line = typeof value === "string" ? value : toJson(value);
  } catch (e) {
    line = `(cannot be shown: ${fullMessage(e)})`;
  }
  line = line.replaceAll(/\s+/g, " ");
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}
