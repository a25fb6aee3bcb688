import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments, stringify } from "yaml";
import { LabError } from "../errors.ts";
import { writeAtomically } from "../state/ledger.ts";
import type { PodRecord } from "../state/state.ts";

type Labels = Readonly<Record<string, string>>;

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [more: string]: unknown };
  readonly [more: string]: unknown;
}

/**
 * What stands in for the Kubernetes API of a lab: a directory with a file for each object, which the lab's reflector
 * follows. Pods have theirs from their creation to their end; namespaces come with their first pod; the rest is applied by
 * people.
 */
export class Manifests {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  prepare(): void {
    mkdirSync(this.dir, { recursive: true, mode: 0o700 });
  }

  putPod({ namespace, name, uid, labels, node, ips, ports = [] }: PodRecord): void {
    this.#ensureNamespace(namespace);
    const status = ips.length === 0 ? { phase: "Pending" } : { phase: "Running", podIPs: ips.map((ip) => ({ ip })) };
    this.#write({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace, name, uid, labels },
      spec: { nodeName: node, containers: [{ name: "main", ports }] },
      status,
    });
  }

  removePod(pod: PodRecord): void {
    rmSync(this.#file("Pod", pod.name, pod.namespace), { force: true });
  }

  /** Makes it, or gives it these labels. */
  putNamespace(name: string, labels: Labels): void {
    const own = { "kubernetes.io/metadata.name": name, ...labels };
    this.#write({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels: own } });
  }

  putNode(name: string, addresses: readonly string[]): void {
    this.#write({
      apiVersion: "v1",
      kind: "Node",
      metadata: { name, labels: { "kubernetes.io/hostname": name } },
      status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
    });
  }

  /** Takes over all objects of a file's text; returns what they are. @throws LabError if there is one that has no name. */
  apply(text: string): readonly string[] {
    const objects = parse(text);
    for (const object of objects) this.#write(object);
    return objects.map(describe);
  }

  /** Removes all objects that a file's text names. */
  delete(text: string): readonly string[] {
    const objects = parse(text);
    for (const { kind, metadata } of objects) {
      rmSync(this.#file(kind, metadata.name, metadata.namespace ?? defaultNamespace(kind)), { force: true });
    }
    return objects.map(describe);
  }

  #ensureNamespace(name: string): void {
    if (!existsSync(this.#file("Namespace", name))) this.putNamespace(name, {});
  }

  #write(object: Manifest): void {
    const { kind, metadata } = object;
    const namespace = metadata.namespace ?? defaultNamespace(kind);
    const whole = { ...object, metadata: namespace === undefined ? metadata : { ...metadata, namespace } };
    const path = this.#file(kind, metadata.name, namespace);
    const text = stringify(whole);
    if (existsSync(path) && readFileSync(path, "utf8") === text) return;
    writeAtomically(path, text);
  }

  /** Names of namespaces have no dots. */
  #file(kind: string, name: string, namespace?: string): string {
    return join(
      this.dir,
      `${[kind.toLowerCase(), namespace, name].filter((part) => part !== undefined).join(".")}.yaml`,
    );
  }
}

const NAMESPACED = new Set(["EndpointSlice", "NetworkPolicy", "Pod", "Service"]);

/** As kubectl does. */
const defaultNamespace = (kind: string): string | undefined => (NAMESPACED.has(kind) ? "default" : undefined);

const describe = ({ kind, metadata: { namespace, name } }: Manifest): string =>
  `${kind.toLowerCase()} ${namespace === undefined ? "" : `${namespace}/`}${name}`;

function parse(text: string): Manifest[] {
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) => {
    const [error] = document.errors;
    if (error) throw new LabError("USAGE", `not YAML: ${error.message}`);
    const object = document.toJS() as (Partial<Manifest> & { items?: unknown[] }) | null;
    if (object === null) return [];
    const all = object.kind?.endsWith("List") && Array.isArray(object.items) ? object.items : [object];
    return all.map(checked);
  });
}

function checked(object: unknown): Manifest {
  const { kind, metadata } = (object ?? {}) as Partial<Manifest>;
  const names = [kind, metadata?.name, metadata?.namespace ?? "default"];
  if (!names.every((name) => typeof name === "string" && /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name))) {
    throw new LabError("USAGE", `an object needs a kind and metadata.name: ${JSON.stringify(object)?.slice(0, 100)}`);
  }
  return object as Manifest;
}
