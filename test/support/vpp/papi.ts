import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { join } from "node:path";
import type { MessageValue } from "../../../src/dataplane/vpp/binapi/codec/codecs.ts";
import { type ApiSchema, type Field, headerOf } from "../../../src/dataplane/vpp/binapi/schema/model.ts";
import { VPP_PREFIX } from "./api-files.ts";

/** Where VPP's Python client (vpp_papi) is: what HEDDLE_VPP_PAPI names, else below VPP's prefix. */
export const PAPI_PATH: string | undefined =
  process.env["HEDDLE_VPP_PAPI"] ??
  globSync(`${VPP_PREFIX}/{,local/}lib/python3*/{site,dist}-packages/vpp_papi`).map((p) => join(p, ".."))[0];

export const papiNote: string =
  PAPI_PATH === undefined ? " (skipped: no vpp_papi below HEDDLE_VPP_PREFIX or at HEDDLE_VPP_PAPI)" : "";

export interface PapiCase {
  readonly message: string;
  readonly value: MessageValue;
}

/** The messages as VPP's Python client packs them, in hex. */
export function packWithPapi(schema: ApiSchema, apiDirectory: string, cases: readonly PapiCase[]): string[] {
  const lines = cases.map(({ message, value }) => {
    const definition = schema.messages.get(message);
    if (!definition) throw new Error(`no message ${message}`);
    const fields = definition.fields.slice(headerOf(definition).fields);
    return JSON.stringify({ message, value: forPython(schema, fields, value) });
  });
  const python = spawnSync("python3", [join(import.meta.dirname, "papi.py"), apiDirectory], {
    input: lines.join("\n"),
    env: { ...process.env, PYTHONPATH: PAPI_PATH },
    encoding: "utf8",
    maxBuffer: 256 << 20,
  });
  if (python.status !== 0) throw new Error(`papi.py failed: ${python.stderr}`);
  return python.stdout.trimEnd().split("\n");
}

/** Python's client wants the counting fields, which ours works out itself. */
function forPython(schema: ApiSchema, fields: readonly Field[], value: MessageValue): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const f of fields) {
    const array = fields.find((other) => other.countedBy === f.name);
    result[f.name] = array ? (value[array.name] as readonly unknown[]).length : one(schema, f, value[f.name]);
  }
  return result;
}

function one(schema: ApiSchema, f: Field, value: unknown): unknown {
  if (typeof value === "bigint") return { $int: String(value) };
  if (typeof value === "number" && f.type === "f64") return { $float: String(value) };
  if (Array.isArray(value)) return value.map((v) => one(schema, { name: f.name, type: f.type }, v));
  const type = schema.types.get(f.type);
  if (value instanceof Uint8Array) {
    const bytes = { $bytes: Buffer.from(value).toString("hex") };
    // A union without a discriminator: for Python, its largest arm.
    return type?.kind === "union" ? { [type.fields.at(-1)?.name ?? ""]: bytes } : bytes;
  }
  if (typeof value !== "object" || value === null) return value;
  if (type?.kind === "alias") return one(schema, { name: f.name, type: type.type }, value);
  if (type?.kind === "struct") return forPython(schema, type.fields, value as MessageValue);
  const [[arm, inner] = ["", undefined]] = Object.entries(value);
  const field = type?.kind === "union" ? type.fields.find((a) => a.name === arm) : undefined;
  return field ? { [arm]: one(schema, field, inner) } : value;
}
