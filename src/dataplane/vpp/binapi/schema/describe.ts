import type { ApiSchema, Field, Message, TypeDef } from "./model.ts";

/**
 * A definition as short lines, which is what generated files carry and what differences are reported in:
 *
 *     u32 table_id            bool is_add=true          string name[64]        string cmd[*]
 *     fib_path paths[n_paths] address_union un by af    ip4_address ip4 if ADDRESS_IP4
 */
export function describeField(f: Field): string {
  const array =
    f.countedBy !== undefined
      ? `[${f.countedBy}]`
      : f.length !== undefined
        ? `[${f.length}]`
        : f.type === "string"
          ? "[*]"
          : "";
  const initial = f.default === undefined ? "" : `=${String(f.default)}`;
  const tag = f.discriminator === undefined ? "" : ` by ${f.discriminator}`;
  const arm = f.case === undefined ? "" : ` if ${f.case}`;
  return `${f.type} ${f.name}${array}${initial}${tag}${arm}`;
}

/** The first line says what kind of type it is. */
export function describeType(t: TypeDef): string[] {
  switch (t.kind) {
    case "enum":
      return [
        `${t.flags ? "flags" : "enum"} ${t.base}`,
        ...Array.from(t.values, ([name, value]) => `${name}=${value}`),
      ];
    case "alias":
      return [`alias ${t.type}${t.length === undefined ? "" : `[${t.length}]`}`];
    case "struct":
    case "union":
      return [t.kind, ...t.fields.map(describeField)];
  }
}

/** What this build was written against: the messages it names and the types in them. */
export interface ExpectedApi {
  /** VPP's release, for messages to people. */
  readonly release: string;
  /** By name, in {@link describeType}'s lines. */
  readonly types: Readonly<Record<string, readonly string[]>>;
  readonly messages: Readonly<Record<string, ExpectedMessage>>;
}

export interface ExpectedMessage {
  readonly crc: string;
  readonly module: string;
  /** In {@link describeField}'s lines. */
  readonly fields: readonly string[];
}

/** The part of a schema that `messages` need, as lines. Throws for a message that the schema lacks. */
export function describeMessages(schema: ApiSchema, messages: Iterable<string>, release: string): ExpectedApi {
  const result: Record<string, ExpectedMessage> = {};
  const types = new Map<string, readonly string[]>();
  const need = (type: string): void => {
    const t = schema.types.get(type);
    if (!t || types.has(type)) return;
    types.set(type, describeType(t));
    if (t.kind === "alias") need(t.type);
    if (t.kind === "struct" || t.kind === "union") for (const f of t.fields) need(f.type);
  };
  for (const name of [...messages].sort()) {
    const m: Message | undefined = schema.messages.get(name);
    if (!m) throw new Error(`the API files have no message ${name}`);
    result[name] = { crc: m.crc, module: m.module, fields: m.fields.map(describeField) };
    for (const f of m.fields) need(f.type);
  }
  return { release, types: Object.fromEntries([...types].sort(([a], [b]) => (a < b ? -1 : 1))), messages: result };
}
