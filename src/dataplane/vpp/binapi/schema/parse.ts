import { VppSchemaError } from "../errors.ts";
import { type Field, isBaseType, type Message, type Service, type TypeDef } from "./model.ts";

/** What one `*.api.json` file defines. */
export interface ApiFile {
  readonly module: string;
  readonly version: string;
  readonly types: readonly TypeDef[];
  readonly messages: readonly Message[];
  readonly services: readonly Service[];
}

/**
 * Reads one API file as vppapigen writes it:
 *
 *     {"module": "ip", "messages": [["ip_table_dump", ["u16", "_vl_msg_id"], …, {"crc": "0x51077d14", …}], …],
 *      "types": […], "unions": […], "enums": [["address_family", ["ADDRESS_IP4", 0], …, {"enumtype": "u8"}]],
 *      "enumflags": […], "aliases": {"ip4_address": {"type": "u8", "length": 4}}, "services": {…}}
 *
 * Throws {@link VppSchemaError}, naming the definition, on anything else.
 */
export function parseApiFile(text: string, source: string): ApiFile {
  try {
    const file = object(JSON.parse(text), "file");
    const module = str(file["module"], "module");
    return {
      module,
      version: str(object(file["options"] ?? {}, "options")["version"] ?? "0", "version"),
      types: [
        ...list(file["enums"]).map((e) => parseEnum(e, false)),
        ...list(file["enumflags"]).map((e) => parseEnum(e, true)),
        ...Object.entries(object(file["aliases"] ?? {}, "aliases")).map(([name, a]) => parseAlias(name, a)),
        ...list(file["types"]).map((t) => parseStruct(t, "struct")),
        ...list(file["unions"]).map((t) => parseStruct(t, "union")),
      ],
      messages: list(file["messages"]).map((m) => parseMessage(m, module)),
      services: Object.entries(object(file["services"] ?? {}, "services")).map(([name, s]) => parseService(name, s)),
    };
  } catch (e) {
    throw new VppSchemaError(`${source}: ${e instanceof Error ? e.message : String(e)}`, { cause: e });
  }
}

// Names become identifiers in generated code, so nothing else may pass.
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;
const MAX_ARRAY = 1 << 20;

function parseEnum(entry: unknown, flags: boolean): TypeDef {
  const { name, rest, options } = definition(entry);
  const base = str(options["enumtype"] ?? "u32", `enumtype of ${name}`);
  if (!isBaseType(base)) throw new VppSchemaError(`enum ${name} has the unknown base type ${base}`);
  const values = new Map(
    rest.map((v) => {
      const [key, value] = list(v);
      if (typeof value !== "number") throw new VppSchemaError(`enum ${name} has a value that is not a number`);
      return [identifier(key, name), value];
    }),
  );
  // Older API files write sets of flags as plain enums: fib_path_flags, if_status_flags, sub_if_flags.
  return { kind: "enum", name, base, flags: flags || name.endsWith("_flags"), values };
}

function parseAlias(key: string, entry: unknown): TypeDef {
  const name = identifier(key, "an alias");
  const options = object(entry, name);
  const type = typeName(options["type"], name);
  const length = options["length"];
  if (length === undefined) return { kind: "alias", name, type };
  return { kind: "alias", name, type, length: arrayLength(length, name) };
}

function parseStruct(entry: unknown, kind: "struct" | "union"): TypeDef {
  const { name, rest } = definition(entry);
  return { kind, name, fields: parseFields(rest, name) };
}

function parseMessage(entry: unknown, module: string): Message {
  const { name, rest, options } = definition(entry);
  const crc = /^0x([0-9a-f]{8})$/.exec(str(options["crc"], `crc of ${name}`))?.[1];
  if (crc === undefined) throw new VppSchemaError(`message ${name} has no CRC of eight digits`);
  const fields = parseFields(rest, name);
  const deprecated = "deprecated" in object(options["options"] ?? {}, name);
  return { name, crc, module, fields, deprecated };
}

function parseService(request: string, entry: unknown): Service {
  const s = object(entry, request);
  const reply = s["reply"] === undefined || s["reply"] === "null" ? undefined : identifier(s["reply"], request);
  const streamMessage = s["stream_msg"] === undefined ? undefined : identifier(s["stream_msg"], request);
  return {
    request: identifier(request, "a service"),
    ...(reply === undefined ? {} : { reply }),
    stream: s["stream"] === true,
    ...(streamMessage === undefined ? {} : { streamMessage }),
    events: list(s["events"] ?? []).map((e) => identifier(e, request)),
  };
}

function parseFields(entries: readonly unknown[], owner: string): Field[] {
  const fields: Field[] = [];
  for (const entry of entries) {
    const field = parseField(list(entry), owner);
    const before = (name: string) => fields.some((f) => f.name === name);
    if (before(field.name)) throw new VppSchemaError(`${owner} has ${field.name} twice`);
    for (const other of [field.countedBy, field.discriminator]) {
      if (other !== undefined && !before(other)) throw new VppSchemaError(`${owner}.${field.name} precedes ${other}`);
    }
    fields.push(field);
  }
  return fields;
}

/** `["u8", "len"]`, `["string", "name", 64]`, `["u8", "data", 0, "data_len"]`, `["u32", "id", {"default": 4294967295}]` */
function parseField(entry: readonly unknown[], owner: string): Field {
  const name = identifier(entry[1], owner);
  const where = `${owner}.${name}`;
  const type = typeName(entry[0], where);
  const last = entry.at(-1);
  const options = typeof last === "object" && last !== null ? object(last, where) : {};
  return {
    name,
    type,
    ...arrayOf(type, entry[2], entry[3], where),
    ...("default" in options ? { default: defaultValue(options["default"], where) } : {}),
    ...("discriminator" in options ? { discriminator: identifier(options["discriminator"], where) } : {}),
    ...("case" in options ? { case: identifier(options["case"], where) } : {}),
  };
}

function arrayOf(type: string, length: unknown, count: unknown, where: string): Pick<Field, "length" | "countedBy"> {
  if (typeof count === "string") return { countedBy: identifier(count, where) };
  if (typeof length !== "number" || (length === 0 && type === "string")) return {};
  if (length === 0) throw new VppSchemaError(`${where} is an array of unknown length`);
  return { length: arrayLength(length, where) };
}

/** vppapigen writes a bool's default as the text `"true"`. */
function defaultValue(value: unknown, where: string): number | boolean {
  if (value === "true" || value === true) return true;
  if (value === "false" || value === false) return false;
  if (typeof value === "number") return value;
  throw new VppSchemaError(`${where} has the unusable default ${JSON.stringify(value)}`);
}

function definition(entry: unknown): { name: string; rest: unknown[]; options: Record<string, unknown> } {
  const [first, ...rest] = list(entry);
  const name = identifier(first, "a definition");
  const last = rest.at(-1);
  const options = last !== undefined && !Array.isArray(last) ? object(rest.pop(), name) : {};
  return { name, rest, options };
}

function typeName(value: unknown, where: string): string {
  const text = identifier(value, where);
  return text.startsWith("vl_api_") && text.endsWith("_t") ? text.slice(7, -2) : text;
}

function arrayLength(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value <= MAX_ARRAY) return value;
  throw new VppSchemaError(`${where} has the impossible length ${JSON.stringify(value)}`);
}

function identifier(value: unknown, where: string): string {
  if (typeof value === "string" && NAME.test(value)) return value;
  throw new VppSchemaError(`${JSON.stringify(value)} in ${where} is not a name`);
}

function str(value: unknown, where: string): string {
  if (typeof value === "string") return value;
  throw new VppSchemaError(`${where} is not a text`);
}

function list(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  throw new VppSchemaError("a list was expected");
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new VppSchemaError(`${where} is not an object`);
}
