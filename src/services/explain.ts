import { familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import type { Service, ServicePort } from "../models/k8s/service.ts";
import type { Balancing, Frontend, ObjectName, PoolScope, PortProtocol } from "./api.ts";
import { type Candidate, candidatesOf } from "./compile/candidates.ts";
import { type HintsUnused, hintsUnused, isIn, type Reason, reasonOf } from "./compile/choose.ts";
import { type Offer, offerOf } from "./compile/pools.ts";
import { balancingOf, familiesOf, type NotServed, notServed, usesLocal } from "./compile/service.ts";
import type { ServiceEngine } from "./engine.ts";
import { type ServiceRecord, serviceOf, slicesOf } from "./index/records.ts";
import { lookUp } from "./lookup.ts";
import { compareText } from "./names.ts";
import type { ServiceProblem, ServiceProblems } from "./problems.ts";

/** Everything that this node makes of a service. */
export interface ServiceExplanation extends ObjectName {
  readonly type: Service["type"];
  /** Why nothing is done for it here. */
  readonly notServed?: NotServed | undefined;
  readonly ports: readonly PortExplanation[];
  /** Its own, and those of its slices. */
  readonly problems: readonly ServiceProblems[];
}

/** A port of a service, in one family. */
export interface PortExplanation {
  /** Its name; "" when it has none. */
  readonly port: string;
  readonly protocol: PortProtocol;
  readonly family: IpFamily;
  /** That lead to it. */
  readonly frontends: readonly Frontend[];
  /** Those that it wanted and another service has. */
  readonly lost: readonly LostFrontend[];
  readonly internalTrafficPolicy: Service["internalTrafficPolicy"];
  readonly externalTrafficPolicy: Service["externalTrafficPolicy"];
  readonly affinity?: number | undefined;
  readonly balancing: Balancing;
  readonly hints: HintsExplanation;
  readonly endpoints: readonly EndpointExplanation[];
}

export interface LostFrontend {
  readonly frontend: Frontend;
  readonly to: ObjectName;
}

/** Whether hints decide; else why not. */
export type HintsExplanation =
  | { readonly followed: "node" | "zone"; readonly of: string }
  | { readonly followed: "none"; readonly node: HintsUnused | "no-ready"; readonly zone: HintsUnused | "no-ready" };

/** An endpoint, and what becomes of it. */
export interface EndpointExplanation {
  readonly address: IpAddress;
  readonly port: number;
  readonly slice: string;
  readonly node?: string | undefined;
  readonly zone?: string | undefined;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** For clients of the whole cluster, and for those who must stay on this node. */
  readonly cluster: Verdict;
  readonly local: Verdict;
}

export interface Verdict {
  readonly in: boolean;
  readonly reason: Reason;
}

/** Undefined if there is no such service, or it can't be read. */
export function explainService(engine: ServiceEngine, at: ObjectName): ServiceExplanation | undefined {
  const record = engine.records.get(at);
  const service = record && serviceOf(record);
  if (!service) return undefined;
  const why = notServed(service, engine.here);
  const ports =
    why === undefined
      ? familiesOf(service).flatMap((family) => service.ports.map((port) => explainPort(engine, record, port, family)))
      : [];
  return {
    namespace: service.namespace,
    name: service.name,
    type: service.type,
    ...(why === undefined ? {} : { notServed: why }),
    ports: ports.filter((p) => p !== undefined),
    problems: problemsOf(engine, record),
  };
}

/** What is at an address and port: the explanation of that one port; undefined if no service is there. */
export function explainSocket(
  engine: ServiceEngine,
  socket: { readonly to: IpAddress; readonly protocol: PortProtocol; readonly port: number },
): PortExplanation | undefined {
  const frontend = lookUp(engine, socket.to, socket.protocol, socket.port);
  const record = frontend && engine.records.get(frontend.service);
  const port = record && serviceOf(record)?.ports.find((p) => isPortOf(frontend, p));
  return port && explainPort(engine, record, port, frontend.family);
}

const isPortOf = (frontend: Frontend, port: ServicePort): boolean =>
  port.protocol === frontend.protocol &&
  port.name === frontend.service.port &&
  (frontend.kind === "NodePort" ? port.nodePort : port.port) === frontend.port;

function explainPort(
  engine: ServiceEngine,
  record: ServiceRecord,
  port: ServicePort,
  family: IpFamily,
): PortExplanation | undefined {
  const service = serviceOf(record);
  if (!service) return undefined;
  const { here } = engine;
  const candidates = candidatesOf(slicesOf(record), { service, port, family, here });
  const offer = offerOf(candidates, here);
  const verdict = (c: Candidate, scope: PoolScope): Verdict => {
    const reason = reasonOf(c, offer[scope], scope, here);
    return { in: isIn(reason), reason };
  };
  const wanted = (record.built?.frontends ?? [])
    .map((claim) => claim.row)
    .filter((f) => f.family === family && isPortOf(f, port))
    .sort((a, b) => compareText(a.key, b.key));
  const has = (f: Frontend): boolean => engine.frontend(f.key) === f;
  const local = usesLocal(service);
  const { clientIpAffinity: affinity } = service;
  return {
    port: port.name,
    protocol: port.protocol,
    family,
    frontends: wanted.filter(has),
    lost: wanted.filter((f) => !has(f)).flatMap((frontend) => lostTo(engine, frontend)),
    internalTrafficPolicy: local.internal ? "Local" : "Cluster",
    externalTrafficPolicy: local.external ? "Local" : "Cluster",
    ...(affinity === undefined ? {} : { affinity }),
    balancing: balancingOf(service),
    hints: hintsOf(candidates, offer, engine),
    endpoints: candidates.map((c) => ({
      address: c.address,
      port: c.port,
      slice: c.slice,
      ...(c.endpoint.node === undefined ? {} : { node: c.endpoint.node }),
      ...(c.endpoint.zone === undefined ? {} : { zone: c.endpoint.zone }),
      ready: c.ready,
      serving: c.endpoint.serving,
      terminating: c.endpoint.terminating,
      cluster: verdict(c, "cluster"),
      local: verdict(c, "local"),
    })),
  };
}

function lostTo(engine: ServiceEngine, frontend: Frontend): LostFrontend[] {
  const winner = engine.frontend(frontend.key);
  return winner ? [{ frontend, to: { namespace: winner.service.namespace, name: winner.service.name } }] : [];
}

function hintsOf(candidates: readonly Candidate[], { cluster }: Offer, { here }: ServiceEngine): HintsExplanation {
  if (cluster === "same-node") return { followed: "node", of: here.config.node };
  if (cluster === "same-zone") return { followed: "zone", of: here.zone };
  if (cluster !== "ready") return { followed: "none", node: "no-ready", zone: "no-ready" };
  const [node, zone] = [
    hintsUnused(candidates, "forNodes", here.config.node),
    hintsUnused(candidates, "forZones", here.zone),
  ];
  return { followed: "none", node: node ?? "none", zone: zone ?? "none" };
}

function problemsOf(engine: ServiceEngine, record: ServiceRecord): ServiceProblems[] {
  const { namespace, name, slices } = record;
  const rows = (kind: "EndpointSlice" | "Service", of: string): ServiceProblems[] => {
    const problems: readonly ServiceProblem[] = engine.problemsOf({ namespace, name: of }, kind);
    return problems.length === 0 ? [] : [{ object: { kind, namespace, name: of }, problems }];
  };
  return [...rows("Service", name), ...[...slices.keys()].sort().flatMap((s) => rows("EndpointSlice", s))];
}

/** One line of a list of services. */
export interface ServiceSummary extends ObjectName {
  readonly type: Service["type"] | "HostPort";
  readonly clusterIps: readonly IpAddress[];
  /** Load balancer's and external addresses. */
  readonly outside: readonly IpAddress[];
  /** Such as `80:30080/TCP`. */
  readonly ports: readonly string[];
  /** Endpoints' addresses: those that are ready, and all. */
  readonly ready: number;
  readonly endpoints: number;
  readonly notServed?: NotServed | undefined;
  /** Of the service and its slices. */
  readonly problems: number;
}

/** All services that can be read, by namespace and name. Those of pods are in ./host-ports.ts. */
export function listServices(engine: ServiceEngine): ServiceSummary[] {
  return [...engine.records.services.values()]
    .flatMap((record) => summary(engine, record))
    .sort((a, b) => compareText(a.namespace, b.namespace) || compareText(a.name, b.name));
}

function summary(engine: ServiceEngine, record: ServiceRecord): ServiceSummary[] {
  const service = serviceOf(record);
  if (!service) return [];
  const why = notServed(service, engine.here);
  const endpoints = new Map<IpAddress, boolean>();
  for (const slice of slicesOf(record)) {
    for (const {
      addresses: [address],
      ready,
    } of slice.endpoints) {
      if (address === undefined) continue;
      endpoints.set(address, service.publishNotReady || ready || endpoints.get(address) === true);
    }
  }
  return [
    {
      namespace: service.namespace,
      name: service.name,
      type: service.type,
      clusterIps: service.clusterIps,
      outside: [...service.loadBalancerIps, ...service.externalIps].sort((a, b) => familyOf(a) - familyOf(b)),
      ports: service.ports.map((p) => `${p.port}${p.nodePort === undefined ? "" : `:${p.nodePort}`}/${p.protocol}`),
      ready: [...endpoints.values()].filter(Boolean).length,
      endpoints: endpoints.size,
      ...(why === undefined ? {} : { notServed: why }),
      problems: problemsOf(engine, record).reduce((sum, p) => sum + p.problems.length, 0),
    },
  ];
}
