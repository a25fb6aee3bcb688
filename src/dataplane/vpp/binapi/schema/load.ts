import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { VppSchemaError } from "../errors.ts";
import { type ApiSchema, isBaseType, type Message, type Service, type TypeDef } from "./model.ts";
import { type ApiFile, parseApiFile } from "./parse.ts";

/** Where a VPP installs its API files, below its prefix. */
export const API_FILES_BELOW_PREFIX = "share/vpp/api";

/**
 * Reads every `*.api.json` below `directory`, which holds `core/` and `plugins/` in an installed VPP. A file that can't
 * be used is left out and named in `problems`; the messages of the others are not affected. Throws
 * {@link VppSchemaError} if there is no usable file at all.
 */
export async function loadSchema(directory: string, signal?: AbortSignal): Promise<ApiSchema> {
  const names = await readdir(directory, { recursive: true }).catch((cause: unknown) => {
    throw new VppSchemaError(`cannot read VPP's API files in ${directory}`, { cause });
  });
  const builder = new SchemaBuilder();
  // One file at a time: parsing them all takes some 50 ms, and the event loop runs on in between.
  for (const name of names.filter((n) => n.endsWith(".api.json")).sort()) {
    signal?.throwIfAborted();
    const path = join(directory, name);
    await builder.tryAdd(async () => parseApiFile(await readFile(path, "utf8"), path));
  }
  const schema = builder.build();
  if (schema.messages.size > 0) return schema;
  const why = schema.problems.length > 0 ? `: ${schema.problems.join("; ")}` : "";
  throw new VppSchemaError(`${directory} has no usable *.api.json file${why}`);
}

/** One schema of several files. */
export function buildSchema(files: readonly ApiFile[]): ApiSchema {
  const builder = new SchemaBuilder();
  for (const file of files) builder.add(file);
  return builder.build();
}

class SchemaBuilder {
  readonly #types = new Map<string, TypeDef>();
  /** Definitions as text: files repeat those of the files they import, and all copies must agree. */
  readonly #texts = new Map<string, string>();
  readonly #messages = new Map<string, Message>();
  readonly #services = new Map<string, Service>();
  readonly #modules = new Map<string, string>();
  readonly #problems: string[] = [];

  async tryAdd(read: () => Promise<ApiFile>): Promise<void> {
    try {
      this.add(await read());
    } catch (e) {
      this.#problems.push(e instanceof Error ? e.message : String(e));
    }
  }

  add(file: ApiFile): void {
    const texts = new Map(file.types.map((t) => [t.name, definitionText(t)]));
    for (const [name, text] of texts) {
      const known = this.#texts.get(name);
      if (known === undefined || known === text) continue;
      this.#problems.push(`${file.module}: its type ${name} differs from that of another file`);
      return;
    }
    const unknown = undefinedType(file, (name) => texts.has(name));
    if (unknown !== undefined) {
      this.#problems.push(`${file.module}: ${unknown}`);
      return;
    }
    for (const t of file.types) this.#types.set(t.name, this.#types.get(t.name) ?? t);
    for (const [name, text] of texts) this.#texts.set(name, text);
    for (const m of file.messages) this.#messages.set(m.name, m);
    for (const s of file.services) this.#services.set(s.request, s);
    this.#modules.set(file.module, file.version);
  }

  build(): ApiSchema {
    return {
      types: this.#types,
      messages: this.#messages,
      services: this.#services,
      modules: this.#modules,
      problems: this.#problems,
    };
  }
}

const definitionText = (t: TypeDef): string =>
  JSON.stringify(t, (_, value: unknown) => (value instanceof Map ? [...value] : value));

/** A file is complete in itself: it repeats what it imports. */
function undefinedType(file: ApiFile, known: (name: string) => boolean): string | undefined {
  const exists = (type: string) => type === "string" || isBaseType(type) || known(type);
  for (const t of file.types) {
    if (t.kind === "alias" && !exists(t.type)) return `alias ${t.name} is of the unknown type ${t.type}`;
    if (t.kind !== "struct" && t.kind !== "union") continue;
    for (const f of t.fields) if (!exists(f.type)) return `${t.name}.${f.name} is of the unknown type ${f.type}`;
  }
  for (const m of file.messages) {
    for (const f of m.fields) if (!exists(f.type)) return `${m.name}.${f.name} is of the unknown type ${f.type}`;
  }
  return undefined;
}
