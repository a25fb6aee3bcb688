// Generates what is checked in and must not be edited: docs/guide/{configuration,ksr-configuration}.md from the schemas,
// docs/guide/kvscheduler-api.md from the doc comments, docs/guide/models.md from the models and their descriptors,
// src/models/k8s/proto/schema.ts from heddle.proto.
// `--check` exits 1 when a generated file is out of date.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { agentConfigSchema } from "../src/infra/config/agent-config.ts";
import { ksrConfigSchema } from "../src/infra/config/ksr-config.ts";
import { k8sSchemaText } from "./gen/k8s-proto.ts";
import { modelsText } from "./gen/models.ts";
import { generateVppApi, vppApiDirectory } from "./gen/vpp-api.ts";
import { apiText } from "./gen-api.ts";

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly minimum?: number;
  readonly maximum?: number;
}

const root = join(import.meta.dirname, "..");

function* rows(schema: Schema, path: string): Iterable<string> {
  for (const [name, below] of Object.entries(schema.properties ?? {})) {
    const key = path ? `${path}.${name}` : name;
    const variants = below.oneOf ?? below.anyOf;
    yield `| \`${key}\` | ${typeText(below)} | ${defaultText(below)} | ${below.description ?? ""} |`;
    if (below.properties) yield* rows(below, key);
    if (below.items?.properties) yield* rows(below.items, `${key}[]`);
    for (const variant of variants ?? []) if (variant.properties) yield* rows(variant, key);
  }
}

function typeText(schema: Schema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const).replaceAll('"', "")}\``;
  if (schema.enum) return schema.enum.map((v) => `\`${String(v)}\``).join(", ");
  const variants = schema.oneOf ?? schema.anyOf;
  if (variants) return [...new Set(variants.map(typeText))].join(" or ");
  if (schema.type === "array") return `list of ${schema.items ? typeText(schema.items) : "anything"}`;
  const { minimum, maximum } = schema;
  const bounds =
    minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
      ? ` ${minimum} – ${maximum}`
      : "";
  return `${schema.type === "object" ? "mapping" : (schema.type ?? "anything")}${bounds}`;
}

function defaultText(schema: Schema): string {
  if (schema.default === undefined || schema.properties) return "";
  return `\`${JSON.stringify(schema.default)}\``;
}

function configText(process_: string, source: string, executable: string, config: z.ZodType): string {
  const schema = z.toJSONSchema(config, { io: "input" }) as Schema;
  return `<!-- Generated from ${source} by \`npm run gen\`. Do not edit. -->

# Configuration of the ${process_}

\`${executable} --config FILE\` reads YAML. Every key can also be set by \`--set key.below=value\` and by the environment
variable \`HEDDLE_CFG_KEY__BELOW\` (two underscores part the levels, names in capitals with single underscores between words:
\`HEDDLE_CFG_NODE_NAME\`). \`--set\` wins over the environment, which wins over the file. An unknown key is an error.

| key | type | default | meaning |
|---|---|---|---|
${[...rows(schema, "")].join("\n")}
`;
}

const agentText = configText("agent", "src/infra/config/agent-config.ts", "heddle-agent", agentConfigSchema);
const ksrText = configText("reflector", "src/infra/config/ksr-config.ts", "heddle-ksr", ksrConfigSchema);

const generated = new Map([
  ["docs/guide/configuration.md", agentText],
  ["docs/guide/ksr-configuration.md", ksrText],
  ["docs/guide/kvscheduler-api.md", apiText()],
  ["docs/guide/models.md", modelsText()],
  ["src/models/k8s/proto/schema.ts", k8sSchemaText(root)],
]);
const vppApi = vppApiDirectory(process.env);
if (vppApi === undefined) console.error("VPP's types are left as they are: no API files (HEDDLE_VPP_API_DIR)");
else for (const [name, content] of await generateVppApi(vppApi)) generated.set(name, content);
for (const [name, content] of generated) {
  const file = join(root, name);
  if (!process.argv.includes("--check")) {
    writeFileSync(file, content);
  } else if (!existsSync(file) || readFileSync(file, "utf8") !== content) {
    console.error(`${name} is out of date; run npm run gen`);
    process.exitCode = 1;
  }
}
