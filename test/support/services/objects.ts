import { parseIp } from "../../../src/base/ip/address.ts";
import type { Endpoint, EndpointSlice } from "../../../src/models/k8s/endpoint-slice.ts";
import type { Service } from "../../../src/models/k8s/service.ts";
import { type HostPort, sandboxId } from "../../../src/pods/api.ts";
import {
  type FrontendKey,
  type PodHostPorts,
  type PoolId,
  type ReflectedInput,
  type ServiceChanges,
  type ServiceConfig,
  type ServiceInput,
} from "../../../src/services/api.ts";
import { ServiceEngine } from "../../../src/services/engine.ts";
import { type Trace, trace } from "../../../src/services/trace.ts";

// A cluster of two nodes: n1 is this one (192.168.0.1, zone z1, pods 10.1.0.0/16), n2 the other (192.168.0.2).

export const CONFIG: ServiceConfig = {
  node: "n1",
  podCidrs: ["10.1.0.0/16", "fd00:1::/64"],
  nodePortAddresses: "primary",
  nodeExternalIps: "serve",
};

export const ips = (...texts: string[]) => texts.map(parseIp);

export function nodeInput(name: string, addresses: readonly string[], zone?: string): ReflectedInput {
  const labels: Record<string, string> = zone === undefined ? {} : { "topology.kubernetes.io/zone": zone };
  const object = { namespace: "" as const, name, uid: "", labels, addresses: ips(...addresses), podCIDRs: [] };
  return { kind: "node", at: { namespace: "", name }, object };
}

export const cidrInput = (name: string, ...cidrs: string[]): ReflectedInput => ({
  kind: "servicecidr",
  at: { namespace: "", name },
  object: { namespace: "", name, uid: "", cidrs },
});

const NODES: readonly ServiceInput[] = [
  nodeInput("n1", ["192.168.0.1", "fd01::1"], "z1"),
  nodeInput("n2", ["192.168.0.2", "fd01::2"], "z2"),
  cidrInput("kubernetes", "10.96.0.0/16", "fd00:96::/112"),
];

/** x/s at 10.96.0.1, port 80 (named http), unless something else is said. */
export function service(more: Partial<Service> = {}): ReflectedInput {
  const object: Service = {
    namespace: "x",
    name: "s",
    uid: "",
    created: 1,
    type: "ClusterIP",
    clusterIps: ips("10.96.0.1"),
    externalIps: [],
    loadBalancerIps: [],
    sourceRanges: [],
    ports: [{ name: "http", protocol: "TCP", port: 80 }],
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Cluster",
    publishNotReady: false,
    ...more,
  };
  return { kind: "service", at: { namespace: object.namespace, name: object.name }, object };
}

/** A ready endpoint of a pod: those of 10.1.0.0/16 are on n1, others on n2. */
export const endpoint = (address: string, more: Partial<Endpoint> = {}): Endpoint => {
  const isHere = address.startsWith("10.1.") || address.startsWith("fd00:1:");
  const [node, zone] = isHere ? ["n1", "z1"] : ["n2", "z2"];
  return { addresses: ips(address), ready: true, serving: true, terminating: false, node, zone, ...more };
};

export const GOING = { ready: false, serving: true, terminating: true } as const;
export const GONE = { ready: false, serving: false, terminating: true } as const;
export const UNREADY = { ready: false, serving: false, terminating: false } as const;

/** x/s-1 of x/s, port 8080 (named http), unless something else is said. */
export function slice(endpoints: readonly Endpoint[], more: Partial<EndpointSlice> = {}): ReflectedInput {
  const object: EndpointSlice = {
    namespace: "x",
    name: "s-1",
    uid: "",
    service: "s",
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    endpoints,
    ...more,
  };
  return { kind: "endpointslice", at: { namespace: object.namespace, name: object.name }, object };
}

/** The pod x/p of this node, 10.1.0.7 and fd00:1::7, which has these ports of it. */
export function hostPorts(ports: readonly Partial<HostPort>[], more: Partial<PodHostPorts> = {}): ServiceInput {
  const all = ports.map((p): HostPort => ({ protocol: "tcp", hostPort: 8000, containerPort: 80, ...p }));
  const pod = { namespace: "x", name: "p" };
  const object: PodHostPorts = { pod, ips: ["10.1.0.7", "fd00:1::7"], ports: all, since: 1000, ...more };
  return { kind: "host-ports", id: HOST_POD, object };
}

/** The interface of that pod. */
export const HOST_POD = sandboxId("p1", "eth0");

/** Is gone. */
export const without = (input: ServiceInput): ServiceInput =>
  ({ ...input, object: undefined }) as unknown as ServiceInput;

export function engineOf(inputs: readonly ServiceInput[], config: Partial<ServiceConfig> = {}): ServiceEngine {
  const engine = new ServiceEngine({ ...CONFIG, ...config });
  engine.apply([...NODES, ...inputs]);
  return engine;
}

export const POD = "10.1.0.9";
export const NODE = "192.168.0.1";
export const OUTSIDE = "203.0.113.5";

/** `10.96.0.1:80`, `[fd00:96::1]:53/UDP`. */
export function traceOf(engine: ServiceEngine, from: string, to: string): Trace {
  const [, bracketed, plain, port, protocol = "TCP"] = /^(?:\[(.*)\]|([^:]*)):(\d+)(?:\/(.*))?$/.exec(to) ?? [];
  return trace(engine, {
    from: parseIp(from),
    to: parseIp(bracketed ?? plain ?? ""),
    port: Number(port),
    protocol: protocol as "TCP",
  });
}

/** `reject`, `drop`, `not-a-service`, or the backends, with a `*` for those that don't see the client's address. */
export function hit(engine: ServiceEngine, from: string, to: string): string {
  const { outcome } = traceOf(engine, from, to);
  if (outcome.verdict !== "balance") return outcome.verdict;
  return outcome.backends
    .map((b) => `${b.address.includes(":") ? `[${b.address}]` : b.address}:${b.port}${b.masqueraded ? "*" : ""}`)
    .join(" ");
}

/** What changed, by the keys of its rows: `+` came, `-` went, `~` is another. */
export function changedKeys(changes: ServiceChanges): string[] {
  const text = (old: unknown, now: unknown, key: string | number | undefined): string =>
    `${old === undefined ? "+" : now === undefined ? "-" : "~"} ${key}`;
  return [
    ...(changes.base ? ["~ base"] : []),
    ...changes.clusterIps.map(({ old, new: now }) => text(old, now, (now ?? old)?.address)),
    ...changes.frontends.map(({ old, new: now }) => text(old, now, (now ?? old)?.key)),
    ...changes.healthChecks.map(({ old, new: now }) => text(old, now, (now ?? old)?.port)),
    ...changes.pools.map(({ old, new: now }) => text(old, now, (now ?? old)?.id)),
    ...changes.problems.map(({ old, new: now }) => text(old, now, (now ?? old)?.object.name)),
  ];
}

/** `CODE at: effect`, of all objects. */
export const problemsOf = (engine: ServiceEngine): string[] =>
  engine
    .rows()
    .problems.flatMap(({ object, problems }) => problems.map((p) => `${object.name}: ${p.code} ${p.at} (${p.effect})`));

export const poolAt = (engine: ServiceEngine, id: string) => engine.pool(id as PoolId);
export const frontendAt = (engine: ServiceEngine, key: string) => engine.frontend(key as FrontendKey);
