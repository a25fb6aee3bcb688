// Makes src/models/k8s/proto/schema.ts from heddle.proto: what the codec needs to know of it, without a parser at run time.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

const SOURCE = "src/models/k8s/heddle.proto";
const SCALARS: ReadonlySet<string> = new Set(["string", "bool", "uint32", "int64", "double"]);

/** The generated file. Throws if the source has what the codec can't do. */
export function k8sSchemaText(root: string): string {
  const parsed = protobuf.parse(readFileSync(join(root, SOURCE), "utf8"), { keepCase: true });
  parsed.root.resolveAll();
  const all = parsed.root.lookup("heddle.k8s.v1") as protobuf.Namespace;
  const enums = all.nestedArray.filter((n) => n instanceof protobuf.Enum);
  const messages = all.nestedArray.filter((n) => n instanceof protobuf.Type);
  return `// Generated from ${SOURCE} by \`npm run gen\`. Do not edit.
import type { EnumRows, MessageRows } from "./messages.ts";

/** Names of values by their number; 0 is none. */
export const ENUMS = {
${enums.map((e) => `  ${e.name}: ${namesOf(e)},`).join("\n")}
} as const satisfies EnumRows;

export const MESSAGES = {
${messages.map((m) => `  ${m.name}: ${rowsOf(m)},`).join("\n")}
} as const satisfies MessageRows;
`;
}

function namesOf(e: protobuf.Enum): string {
  const names = Object.entries(e.values).map(([name, number]) => (number === 0 ? "" : name));
  if (Object.values(e.values).some((number, i) => number !== i)) throw new Error(`${e.name} has gaps`);
  return `[${names.map((n) => JSON.stringify(n)).join(", ")}]`;
}

function rowsOf(message: protobuf.Type): string {
  const rows = message.fieldsArray.toSorted((a, b) => a.id - b.id).map((f) => rowOf(message, f));
  return rows.length === 1 ? `[${rows.join("")}]` : `[\n${rows.map((row) => `    ${row},\n`).join("")}  ]`;
}

function rowOf(message: protobuf.Type, f: protobuf.Field): string {
  const where = `${message.name}.${f.name}`;
  const isMap = f instanceof protobuf.MapField;
  const isOdd = isMap && (f.keyType !== "string" || f.type !== "string");
  if (isOdd) throw new Error(`${where}: only maps of strings to strings`);
  const of = f.resolvedType?.name;
  const type = isMap ? "map" : f.resolvedType instanceof protobuf.Enum ? "enum" : of === undefined ? f.type : "message";
  const isKnown = ["map", "enum", "message"].includes(type) || SCALARS.has(type);
  if (!isKnown) throw new Error(`${where}: no codec for ${type}`);
  if (f.repeated && type !== "string" && type !== "message") throw new Error(`${where}: no codec for many of ${type}`);
  const oneof = f.partOf && !f.options?.["proto3_optional"] ? f.partOf.name : undefined;
  // Scalars of a oneof are one member of several types; of messages each has its own.
  const name = oneof !== undefined && type !== "message" ? oneof : jsonNameOf(f);
  const parts = [`no: ${f.id}`, `name: ${JSON.stringify(name)}`, `type: "${type}"`];
  if (of !== undefined) parts.push(`of: "${of}"`);
  if (f.repeated) parts.push(`is: "repeated"`);
  else if (f.partOf) parts.push(`is: "optional"`);
  return `{ ${parts.join(", ")} }`;
}

const jsonNameOf = (f: protobuf.Field): string =>
  (f.options?.["json_name"] as string | undefined) ?? f.name.replaceAll(/_([a-z])/g, (_, c: string) => c.toUpperCase());
