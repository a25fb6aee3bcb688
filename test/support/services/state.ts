import type { EndpointSlice } from "../../../src/models/k8s/endpoint-slice.ts";
import type { K8sNode } from "../../../src/models/k8s/node.ts";
import type { Service } from "../../../src/models/k8s/service.ts";
import type { PodHostPorts, ServiceConfig, ServiceInput } from "../../../src/services/api.ts";

/** A cluster as one node sees it, after some history. `"unreadable"`: it is there but can't be read. */
export interface OracleState {
  readonly config: ServiceConfig;
  /** By namespace/name, as are the slices. */
  readonly services: ReadonlyMap<string, Service | "unreadable">;
  readonly slices: ReadonlyMap<string, EndpointSlice | "unreadable">;
  readonly nodes: ReadonlyMap<string, K8sNode>;
  readonly serviceCidrs: readonly string[];
  readonly interfaces: readonly string[];
  /** By the pod's interface. */
  readonly hostPorts: ReadonlyMap<string, PodHostPorts>;
}

function nameOf(input: ServiceInput): string {
  if (input.kind === "own-addresses") return input.kind;
  return `${input.kind} ${input.kind === "host-ports" ? input.id : `${input.at.namespace}/${input.at.name}`}`;
}

type Slice = Extract<ServiceInput, { kind: "endpointslice" }>;

/** Whether the object is an older version of the one that is known. */
function isStale(known: Slice | undefined, now: Slice): boolean {
  const [a, b] = [known?.object, now.object];
  if (!a || !b || "unreadable" in a || "unreadable" in b || a.uid !== b.uid) return false;
  return a.generation !== undefined && b.generation !== undefined && b.generation < a.generation;
}

/** One input for each object, and for a slice of which an older version came after, that one, too. */
export function shortestHistory(history: readonly ServiceInput[]): ServiceInput[] {
  const last = new Map<string, ServiceInput>();
  const stale = new Map<string, ServiceInput>();
  for (const input of history) {
    const key = nameOf(input);
    if (input.kind === "endpointslice" && isStale(last.get(key) as Slice | undefined, input)) {
      stale.set(key, input);
      continue;
    }
    last.set(key, input);
    stale.delete(key);
  }
  const isThere = (input: ServiceInput): boolean => input.kind === "own-addresses" || input.object !== undefined;
  return [...last.values()]
    .filter(isThere)
    .reverse()
    .concat([...stale.values()]);
}

export function stateAfter(config: ServiceConfig, history: readonly ServiceInput[]): OracleState {
  const services = new Map<string, Service | "unreadable">();
  const slices = new Map<string, EndpointSlice | "unreadable">();
  const nodes = new Map<string, K8sNode>();
  const serviceCidrs: string[] = [];
  const hostPorts = new Map<string, PodHostPorts>();
  let interfaces: readonly string[] = [];
  const known = new Set<string>();
  for (const input of shortestHistory(history)) {
    if (known.has(nameOf(input))) continue;
    known.add(nameOf(input));
    if (input.kind === "own-addresses") {
      interfaces = input.addresses;
      continue;
    }
    if (input.kind === "host-ports") {
      if (input.object) hostPorts.set(input.id, input.object);
      continue;
    }
    const key = `${input.at.namespace}/${input.at.name}`;
    const { kind, object } = input;
    if (object === undefined) continue;
    if (kind === "service") services.set(key, "unreadable" in object ? "unreadable" : object);
    else if (kind === "endpointslice") slices.set(key, "unreadable" in object ? "unreadable" : object);
    else if (kind === "node" && !("unreadable" in object)) nodes.set(input.at.name, object);
    else if (kind === "servicecidr" && !("unreadable" in object)) serviceCidrs.push(...object.cidrs);
  }
  return { config, services, slices, nodes, serviceCidrs, interfaces, hostPorts };
}
