import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseDocument } from "yaml";
import { type ZodType, z } from "zod";
import { type ExpectedCell, expectationsOf } from "./catalogue/expectations.ts";
import { caseSchema, fileSchema, namedSchema, type RawCase, type RawStep } from "./catalogue/schema.ts";
import { type Manifest, parseWorld, type World } from "./catalogue/world.ts";

export * from "./catalogue/expectations.ts";
export * from "./catalogue/world.ts";

/** Labels by pod (`x/a`) or namespace (`x`) that are to change: null takes one away. */
export type LabelChanges = Readonly<Record<string, Readonly<Record<string, string | null>>>>;

/** An object that is to go. `namespace` is "" for kinds without. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** A change of the cluster, and what is to be in force after it. Parts are applied in the order of the members. */
export interface Step {
  /** What happens, for people; "" for the first. */
  readonly what: string;
  readonly labels: LabelChanges;
  /** Pods and the like that are more than the world has; nobody wires them. First step only. */
  readonly objects: readonly Manifest[];
  /** Policies to create or to replace. */
  readonly put: readonly Manifest[];
  readonly delete: readonly ObjectRef[];
  /** Every connection that may be tried. */
  readonly expected: readonly ExpectedCell[];
}

export interface PolicyCase {
  /** `ingress-peers.yaml: its name`, unique in the catalogue. */
  readonly id: string;
  readonly file: string;
  readonly theme: string;
  readonly name: string;
  /** The first builds what the case is about, on the bare world; others follow one upon the other. At least one. */
  readonly steps: readonly Step[];
}

export interface Catalogue {
  readonly world: World;
  readonly cases: readonly PolicyCase[];
}

/** A file of the catalogue that can't be used. The message names the file, the case, and what is wrong. */
export class CatalogueError extends Error {}

const DIRECTORY = join(import.meta.dirname, "../../policies");
const WORLD_FILE = "world.yaml";

/** Reads test/policies. Throws {@link CatalogueError}. */
export function loadCatalogue(directory = DIRECTORY): Catalogue {
  const read = (file: string): unknown => readYaml(file, readFileSync(join(directory, file), "utf8"));
  const world = attempt(WORLD_FILE, () => parseWorld(read(WORLD_FILE)));
  const files = readdirSync(directory).filter((f) => f.endsWith(".yaml") && f !== WORLD_FILE);
  const cases = files.sort().flatMap((file) => parseCases(world, file, read(file)));
  return { world, cases };
}

/** The cases of a file's content. Throws {@link CatalogueError}. */
export function parseCases(world: World, file: string, content: unknown): PolicyCase[] {
  const { theme, cases } = check(fileSchema, content, file);
  const seen = new Set<string>();
  return cases.map((item, i) => {
    const { name } = check(namedSchema, item, `${file}: case ${i + 1}`);
    const id = `${basename(file)}: ${name}`;
    if (seen.has(name)) throw new CatalogueError(`${id}: there are two of that name`);
    seen.add(name);
    const raw = check(caseSchema, item, id);
    const steps = stepsOf(raw).map((step): Step => {
      const at = step.what === "" ? id : `${id}: ${step.what}`;
      checkLabels(world, step.labels, at);
      return { ...step, expected: attempt(at, () => expectationsOf(world, step.expect)) };
    });
    return { id, file, theme, name, steps };
  });
}

type UnexpandedStep = Omit<Step, "expected"> & { readonly expect: string };

function stepsOf(raw: RawCase): UnexpandedStep[] {
  const first: UnexpandedStep = {
    what: "",
    labels: raw.label ?? {},
    objects: raw.objects ?? [],
    put: raw.policies,
    delete: [],
    expect: raw.expect,
  };
  return [first, ...(raw.later ?? []).map(laterStep)];
}

const laterStep = (step: RawStep): UnexpandedStep => ({
  what: step.what,
  labels: step.label ?? {},
  objects: [],
  put: step.put ?? [],
  delete: (step.delete ?? []).map(parseRef),
  expect: step.expect,
});

function parseRef(text: string): ObjectRef {
  const [kind = "", path = ""] = text.split(" ");
  const [namespace = "", name] = path.split("/");
  return name === undefined ? { kind, namespace: "", name: namespace } : { kind, namespace, name };
}

function checkLabels(world: World, labels: LabelChanges, at: string): void {
  for (const end of Object.keys(labels)) {
    const known = end.includes("/")
      ? world.pods.some((p) => p.id === end)
      : world.namespaces.some((n) => n.name === end);
    if (!known) throw new CatalogueError(`${at}: there is no ${end} to label`);
  }
}

function readYaml(file: string, text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error) throw new CatalogueError(`${file}: ${error.message}`, { cause: error });
  return document.toJS() as unknown;
}

function check<T>(schema: ZodType<T>, content: unknown, at: string): T {
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  throw new CatalogueError(`${at}: ${z.prettifyError(result.error)}`, { cause: result.error });
}

function attempt<T>(at: string, make: () => T): T {
  try {
    return make();
  } catch (e) {
    if (e instanceof CatalogueError) throw e;
    throw new CatalogueError(`${at}: ${e instanceof z.ZodError ? z.prettifyError(e) : String(e)}`, { cause: e });
  }
}
