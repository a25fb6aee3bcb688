import { readFile } from "node:fs/promises";
import { parse as parseYaml, YAMLParseError } from "yaml";
import { z } from "zod";
import { errnoOf, HeddleError } from "../../base/errors/errors.ts";

/** The configuration cannot be used. The message names file, key and what is expected; processes exit with 2. */
export class ConfigError extends HeddleError<"CONFIG"> {
  constructor(message: string, options?: ErrorOptions) {
    super("CONFIG", message, options);
  }
}

export interface ConfigSources {
  /** YAML file; all defaults if absent. */
  readonly file?: string;
  /** `HEDDLE_CFG_NETWORK__OVERLAY=none` sets `network.overlay`; two underscores part the levels. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `network.overlay=none`, from `--set`; wins over the environment, which wins over the file. */
  readonly set?: readonly string[];
}

const ENV_PREFIX = "HEDDLE_CFG_";

/** Reads, merges and validates. @throws ConfigError naming every wrong key at once. */
export async function loadConfig<S extends z.ZodType>(schema: S, sources: ConfigSources): Promise<z.infer<S>> {
  const raw = sources.file === undefined ? {} : await readYaml(sources.file);
  for (const [name, value] of Object.entries(sources.env)) {
    if (!name.startsWith(ENV_PREFIX) || value === undefined) continue;
    assign(raw, name.slice(ENV_PREFIX.length).split("__"), value, `environment variable ${name}`, true);
  }
  for (const setting of sources.set ?? []) {
    const at = setting.indexOf("=");
    if (at < 1) throw new ConfigError(`--set ${setting}: must be key=value`);
    assign(raw, setting.slice(0, at).split("."), setting.slice(at + 1), `--set ${setting}`, false);
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const where = sources.file ?? "the configuration";
    throw new ConfigError(`${where} is not valid:\n${z.prettifyError(parsed.error)}`);
  }
  return parsed.data;
}

async function readYaml(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (e) {
    throw new ConfigError(`cannot read ${file}: ${errnoOf(e) ?? String(e)}`, { cause: e });
  }
  let parsed: unknown;
  try {
    parsed = parseYaml(text) as unknown;
  } catch (e) {
    if (e instanceof YAMLParseError) throw new ConfigError(`${file} is not YAML: ${e.message}`, { cause: e });
    throw e;
  }
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw new ConfigError(`${file}: must hold a mapping`);
  return parsed as Record<string, unknown>;
}

function assign(root: Record<string, unknown>, path: string[], text: string, where: string, looseCase: boolean): void {
  let at = root;
  for (const [i, part] of path.entries()) {
    if (part === "") throw new ConfigError(`${where}: empty key`);
    const name = looseCase ? camel(part) : part;
    if (i === path.length - 1) {
      at[name] = parseYaml(text) as unknown; // a scalar, list or mapping in YAML's flow form
      return;
    }
    const below = at[name];
    if (below === undefined) at[name] = {};
    else if (typeof below !== "object" || below === null) throw new ConfigError(`${where}: ${name} is not a mapping`);
    at = at[name] as Record<string, unknown>;
  }
}

/** `NODE_NAME` → `nodeName`; names that are already mixed case stay. */
const camel = (name: string): string =>
  /[a-z]/.test(name) ? name : name.toLowerCase().replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
