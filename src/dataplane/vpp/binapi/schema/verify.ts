import { describeField, describeType, type ExpectedApi } from "./describe.ts";
import type { ApiSchema } from "./model.ts";

/** A message that this build names and the running VPP does not have in the same shape. */
export interface MessageDifference {
  readonly message: string;
  /** The API file it belongs to; for most plugins the plugin's name. */
  readonly module: string;
  readonly kind: "missing" | "changed";
  /** The message works all the same: only fields with a default, or values of an enum, were added. */
  readonly usable: boolean;
  /** For people: `route.paths[].flags: u32 expected, VPP has u8`. */
  readonly details: readonly string[];
}

/**
 * Compares what this build was written against with the loaded API files and, where given, with the running VPP's message
 * table (keys `name_crc`). Equal CRCs mean equal messages, so fields are compared only where CRCs differ.
 */
export function verifyApi(
  expected: ExpectedApi,
  schema: ApiSchema,
  ids?: ReadonlyMap<string, number>,
): MessageDifference[] {
  const differences: MessageDifference[] = [];
  for (const [message, { crc, module, fields }] of Object.entries(expected.messages)) {
    const found = schema.messages.get(message);
    if (!found) {
      const details = [`not in VPP's API files (known from ${expected.release}, ${module}.api)`];
      differences.push({ message, module, kind: "missing", usable: false, details });
      continue;
    }
    if (ids && !ids.has(`${message}_${found.crc}`.slice(0, 63))) {
      const other = otherCrc(message, ids);
      const [kind, text] =
        other === undefined
          ? (["missing", `the running VPP does not have it; is the plugin of ${module}.api loaded?`] as const)
          : (["changed", `the running VPP's CRC is ${other}: its API files are not those that were read`] as const);
      differences.push({ message, module, kind, usable: false, details: [text] });
      continue;
    }
    if (found.crc === crc) continue;
    const comparison = new Comparison(expected, schema);
    comparison.fields(fields, found.fields.map(describeField), "");
    const { details, usable } = comparison;
    if (details.length === 0) details.push(`CRC ${crc} expected, VPP has ${found.crc}, with the same fields`);
    differences.push({ message, module, kind: "changed", usable, details });
  }
  return differences;
}

/**
 * As {@link verifyApi}, for messages of plugins that not every VPP has: no difference is reported where a plugin's are all
 * missing, only the name of its API file (`without`).
 */
export function verifyOptional(
  expected: readonly ExpectedApi[],
  schema: ApiSchema,
  ids?: ReadonlyMap<string, number>,
): { readonly differences: MessageDifference[]; readonly without: string[] } {
  const differences: MessageDifference[] = [];
  const without: string[] = [];
  for (const api of expected) {
    const found = Map.groupBy(verifyApi(api, schema, ids), ({ module }) => module);
    const known = Map.groupBy(Object.values(api.messages), ({ module }) => module);
    for (const [module, ofModule] of found) {
      const missing = ofModule.filter(({ kind }) => kind === "missing");
      if (missing.length === known.get(module)?.length) without.push(module);
      else differences.push(...ofModule);
    }
  }
  return { differences, without };
}

/** For people: one line per changed message, one for all messages that are missing with the same reason. */
export function formatDifferences(differences: readonly MessageDifference[]): string {
  const lines = new Map<string, string[]>();
  for (const d of differences) {
    const why = `${d.kind}: ${d.details.join("; ")}`;
    const key = d.kind === "missing" ? `${d.module}.api ${why}` : `${d.module}.api ${d.message} ${why}`;
    lines.set(key, [...(lines.get(key) ?? []), d.message]);
  }
  return Array.from(lines, ([text, messages]) =>
    messages.length === 1 && text.includes(` ${messages[0]} `) ? `${text}\n` : `${text} (${messages.join(", ")})\n`,
  ).join("");
}

/** The CRC under which VPP has a message of that name. */
function otherCrc(message: string, ids: ReadonlyMap<string, number>): string | undefined {
  for (const key of ids.keys()) {
    if (key.length === message.length + 9 && key.startsWith(`${message}_`)) return key.slice(-8);
  }
  return undefined;
}

class Comparison {
  readonly details: string[] = [];
  usable = true;
  readonly #expected: ExpectedApi;
  readonly #schema: ApiSchema;
  readonly #seen = new Set<string>();

  constructor(expected: ExpectedApi, schema: ApiSchema) {
    this.#expected = expected;
    this.#schema = schema;
  }

  fields(expected: readonly string[], found: readonly string[], path: string): void {
    const before = expected.map(parse);
    const after = new Map(found.map((line) => [parse(line).name, parse(line)]));
    for (const f of before) {
      const now = after.get(f.name);
      const where = `${path}${f.name}`;
      if (!now) this.#report(`${where}: ${f.line} expected, VPP has no such field`);
      else if (now.line !== f.line) this.#report(`${where}: "${f.line}" expected, VPP has "${now.line}"`);
      else this.#type(f.type, `${where}${f.array ? "[]" : ""}.`);
    }
    const names = new Set(before.map((f) => f.name));
    for (const f of after.values()) {
      if (names.has(f.name)) continue;
      this.details.push(`${path}${f.name}: new in VPP, "${f.line}"`);
      if (!f.line.includes("=")) this.usable = false;
    }
    const order = [...after.keys()].filter((name) => names.has(name)).join();
    if (order !== before.flatMap((f) => (after.has(f.name) ? [f.name] : [])).join()) {
      this.#report(`${path}*: the fields stand in another order`);
    }
  }

  #type(name: string, path: string): void {
    const expected = this.#expected.types[name];
    const type = this.#schema.types.get(name);
    if (!expected || !type || this.#seen.has(name)) return;
    this.#seen.add(name);
    const found = describeType(type);
    if (found[0] !== expected[0]) this.#report(`${path}: ${name} was ${expected[0]}, VPP has ${found[0]}`);
    else if (type.kind === "enum") this.#values(expected, found, path);
    else this.fields(expected.slice(1), found.slice(1), path);
  }

  #values(expected: readonly string[], found: readonly string[], path: string): void {
    const at = path.replace(/\.$/, "");
    for (const value of expected) if (!found.includes(value)) this.#report(`${at}: VPP has no value ${value}`);
    for (const value of found) if (!expected.includes(value)) this.details.push(`${at}: new value ${value} in VPP`);
  }

  #report(text: string): void {
    this.details.push(text);
    this.usable = false;
  }
}

/** `fib_path paths[n_paths]` and the like; see {@link describeField}. */
function parse(line: string): { line: string; type: string; name: string; array: boolean } {
  const [, type = "", name = "", array] = /^(\S+) (\w+)(\[)?/.exec(line) ?? [];
  return { line, type, name, array: array !== undefined && type !== "string" };
}
