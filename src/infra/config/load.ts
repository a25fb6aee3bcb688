import { readFile } from "node:fs/promises";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { errnoOf, HeddleError, toError } from "../../base/errors/errors.ts";

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

/** A value from outside of the file. */
interface Override {
  readonly path: readonly string[];
  /** `environment variable HEDDLE_CFG_…`, `--set …`. */
  readonly where: string;
  readonly text: string;
}

/** Reads, merges and validates. @throws ConfigError naming every wrong key at once. */
export async function loadConfig<S extends z.ZodType>(schema: S, sources: ConfigSources): Promise<z.infer<S>> {
  const raw = sources.file === undefined ? {} : await readYaml(sources.file);
  const overrides = [...fromEnvironment(sources.env), ...(sources.set ?? []).map(fromFlag)];
  for (const override of overrides) assign(raw, override);
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const where = sources.file ?? "the configuration";
    const from = overrides
      .filter(({ path }) => parsed.error.issues.some((issue) => touches(path, issue)))
      .map((o) => `\n  set by ${o.where}`);
    throw new ConfigError(`${where} is not valid:\n${z.prettifyError(parsed.error)}${from.join("")}`);
  }
  return parsed.data;
}

function* fromEnvironment(env: ConfigSources["env"]): Iterable<Override> {
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || text === undefined) continue;
    const path = name.slice(ENV_PREFIX.length).split("__").map(camel);
    yield { path, where: `environment variable ${name}`, text };
  }
}

function fromFlag(setting: string): Override {
  const at = setting.indexOf("=");
  if (at < 1) throw new ConfigError(`--set ${setting}: must be key=value`);
  return { path: setting.slice(0, at).split("."), where: `--set ${setting}`, text: setting.slice(at + 1) };
}

/** Whether the issue may be about what was set: at its place, above it or below it. */
function touches(path: readonly string[], issue: z.core.$ZodIssue): boolean {
  const places = issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
  return places.some((place) => path.every((part, i) => i >= place.length || String(place[i]) === part));
}

async function readYaml(file: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (e) {
    throw new ConfigError(`cannot read ${file}: ${errnoOf(e) ?? String(e)}`, { cause: e });
  }
  const parsed = yaml(text, file);
  if (parsed === null || parsed === undefined) return {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw new ConfigError(`${file}: must hold a mapping`);
  return parsed as Record<string, unknown>;
}

/** @throws ConfigError */
function yaml(text: string, where: string): unknown {
  try {
    return parseYaml(text, { logLevel: "error" }) as unknown;
  } catch (e) {
    throw new ConfigError(`${where} is not YAML: ${toError(e).message}`, { cause: e });
  }
}

/** The value is a scalar, list or mapping in YAML's flow form. */
function assign(root: Record<string, unknown>, { path, where, text }: Override): void {
  let at = root;
  for (const [i, name] of path.entries()) {
    // An object's own prototype would take it, and no schema would see it.
    if (name === "" || name === "__proto__") throw new ConfigError(`${where}: no such key`);
    if (i === path.length - 1) {
      at[name] = yaml(text, where);
      return;
    }
    const below = Object.hasOwn(at, name) ? at[name] : undefined;
    if (below === undefined || below === null) at[name] = {};
    else if (typeof below !== "object") throw new ConfigError(`${where}: ${name} is not a mapping`);
    at = at[name] as Record<string, unknown>;
  }
}

/** `NODE_NAME` → `nodeName`; names that are already mixed case stay. */
const camel = (name: string): string =>
  /[a-z]/.test(name) ? name : name.toLowerCase().replace(/_([a-z0-9])/g, (_, c: string) => c.toUpperCase());
