// TypeScript declarations for VPP's API types and messages.
import type { TextType } from "../../src/dataplane/vpp/binapi/codec/shapes.ts";
import {
  type ApiSchema,
  type Field,
  headerOf,
  isBaseType,
  type Service,
  type TypeDef,
} from "../../src/dataplane/vpp/binapi/schema/model.ts";

export interface TypeNames {
  readonly schema: ApiSchema;
  /** Types that are texts for TypeScript. */
  readonly texts: ReadonlyMap<string, TextType>;
}

type Side = "in" | "out";

/** `ip_route_add_del` → `IpRouteAddDel` */
export const pascal = (name: string): string =>
  name
    .split("_")
    .filter((part) => part !== "")
    .map((part) => part[0]?.toUpperCase() + part.slice(1))
    .join("");

const TEXT_OUT: Readonly<Record<string, string>> = {
  ip4_address: "IpAddress",
  ip6_address: "IpAddress",
  address: "IpAddress",
  mac_address: "MacAddress",
};

/** Declarations of `types`; those that are texts or plain numbers need none. */
export function typeDeclarations(names: TypeNames, types: readonly string[]): string {
  const parts = types.flatMap((name) => {
    const type = names.schema.types.get(name);
    return type && !names.texts.has(name) ? declaration(names, type) : [];
  });
  const body = parts.join("\n\n");
  const imports = [
    ["IpAddress", "address"],
    ["MacAddress", "mac"],
  ].filter(([name]) => new RegExp(`\\b${name}\\b`).test(body));
  const lines = imports.map(([name, file]) => `import type { ${name} } from "../../../../base/ip/${file}.ts";\n`);
  return `${lines.join("")}${lines.length > 0 ? "\n" : ""}${body}\n`;
}

/**
 * Interfaces of `messages`: what is given for a request, what is got for all others. The file has `own` types itself, those
 * that no other one needs.
 */
export function messageTypes(
  names: TypeNames,
  messages: readonly string[],
  services: ReadonlyMap<string, Service>,
  own: readonly string[] = [],
): string {
  const parts = messages.map((name) => {
    const message = names.schema.messages.get(name);
    if (!message) throw new Error(`VPP's API files have no message ${name}`);
    const service = services.get(name);
    // The client moves a stream's cursor itself.
    const isOurs = (f: Field) => f.name !== "cursor" || service?.streamMessage === undefined;
    const fields = message.fields.slice(headerOf(message).fields).filter(isOurs);
    const note = `/** ${message.module}.api, CRC ${message.crc}${message.deprecated ? "; deprecated by VPP" : ""} */\n`;
    return note + interfaceText(names, pascal(name), fields, service ? "in" : "out");
  });
  const body = parts.join("\n\n");
  const declared = [...names.schema.types.keys()].filter((t) => !names.texts.has(t) && !own.includes(t));
  const used = declared.flatMap((t) => [pascal(t), `${pascal(t)}Input`]);
  const imported = new Set(used.filter((n) => new RegExp(`[:(|] ?(readonly )?\\(?${n}\\b`).test(body)));
  const base = (name: string, file: string) =>
    new RegExp(`\\b${name}\\b`).test(body) ? `import type { ${name} } from "../../../../base/ip/${file}.ts";\n` : "";
  const list = [...imported]
    .sort()
    .map((n) => `  ${n},\n`)
    .join("");
  const imports = `${base("IpAddress", "address")}${base("MacAddress", "mac")}${list ? `import type {\n${list}} from "./types.gen.ts";\n` : ""}`;
  return `${imports}${imports ? "\n" : ""}${body}\n`;
}

function declaration(names: TypeNames, type: TypeDef): string {
  const name = pascal(type.name);
  switch (type.kind) {
    case "enum": {
      const values = Array.from(type.values, ([key, value]) => `  ${key}: ${value},\n`).join("");
      const kind = type.flags ? `Bits of ${type.name}, to be combined.` : type.name;
      const value = type.flags ? "number" : `(typeof ${name})[keyof typeof ${name}]`;
      return `/** ${kind} */\nexport const ${name} = {\n${values}} as const;\nexport type ${name} = ${value};`;
    }
    case "alias":
      return `export type ${name} = ${valueType(names, { name: "", type: type.type, ...(type.length === undefined ? {} : { length: type.length }) }, [], "out")};`;
    case "struct": {
      const out = `/** ${type.name} */\n${interfaceText(names, name, type.fields, "out")}`;
      if (!differs(names, type.name)) return out;
      return `${out}\n\n/** ${type.name}, to be sent */\n${interfaceText(names, `${name}Input`, type.fields, "in")}`;
    }
    case "union": {
      const arms = (side: Side) =>
        type.fields.map((f) => `{ readonly ${f.name}: ${valueType(names, f, type.fields, side)} }`).join(" | ");
      return `/** ${type.name}: one of these, or its bytes */\nexport type ${name} = ${arms("out")} | Uint8Array;\nexport type ${name}Input = ${arms("in")} | Uint8Array;`;
    }
  }
}

function interfaceText(names: TypeNames, name: string, fields: readonly Field[], side: Side): string {
  const counts = new Set(fields.flatMap((f) => f.countedBy ?? []));
  const lines = fields
    .filter((f) => !counts.has(f.name))
    .map((f) => {
      const optional = side === "in" && mayBeAbsent(names, f);
      const initial = f.default === undefined ? "" : `  /** ${String(f.default)} if absent */\n`;
      return `${side === "in" ? initial : ""}  readonly ${f.name}${optional ? "?" : ""}: ${valueType(names, f, fields, side)};\n`;
    });
  return lines.length === 0
    ? `export type ${name} = Readonly<Record<never, never>>;`
    : `export interface ${name} {\n${lines.join("")}}`;
}

/** Zero means "nothing" for texts, arrays and flags; a number or an address that is forgotten is a mistake. */
function mayBeAbsent(names: TypeNames, f: Field): boolean {
  const isArray = f.length !== undefined || f.countedBy !== undefined;
  if (f.default !== undefined || f.type === "string" || isArray) return true;
  const type = names.schema.types.get(f.type);
  return type?.kind === "enum" && type.flags;
}

function valueType(names: TypeNames, f: Field, fields: readonly Field[], side: Side): string {
  const isArray = f.length !== undefined || f.countedBy !== undefined;
  if (f.type === "string") return "string";
  if (isArray && f.type === "u8") return "Uint8Array";
  const one = elementType(names, f, fields, side);
  return isArray ? `readonly ${one.includes("|") ? `(${one})` : one}[]` : one;
}

function elementType(names: TypeNames, f: Field, fields: readonly Field[], side: Side): string {
  if (f.type === "u64" || f.type === "i64") return side === "in" ? "bigint | number" : "bigint";
  if (f.type === "bool") return "boolean";
  if (isBaseType(f.type)) return "number";
  if (names.texts.has(f.type)) return side === "in" ? "string" : (TEXT_OUT[f.type] ?? "string");
  const type = names.schema.types.get(f.type);
  if (!type) throw new Error(`VPP's API files have no type ${f.type}`);
  const name = pascal(f.type);
  if (type.kind === "union") {
    if (side === "in") return `${name}Input`;
    return fields.some((other) => other.name === f.discriminator) ? name : "Uint8Array";
  }
  return side === "in" && differs(names, f.type) ? `${name}Input` : name;
}

/** Whether one gives something else for a type than one gets. */
function differs(names: TypeNames, name: string): boolean {
  if (names.texts.has(name) || name === "u64" || name === "i64") return true;
  const type = names.schema.types.get(name);
  if (type?.kind === "union") return true;
  return type?.kind === "struct" && type.fields.some((f) => mayBeAbsent(names, f) || differs(names, f.type));
}
