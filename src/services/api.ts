import type { Brand } from "../base/brand/brand.ts";
import type { IpAddress, IpFamily } from "../base/ip/address.ts";
import type { Change } from "../controller/api.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { EndpointSlice } from "../models/k8s/endpoint-slice.ts";
import type { Entry } from "../models/k8s/entry.ts";
import type { ObjectName } from "../models/k8s/keys.ts";
import type { K8sNode } from "../models/k8s/node.ts";
import type { PortProtocol } from "../models/k8s/pod.ts";
import type { Service } from "../models/k8s/service.ts";
import type { ServiceCidr } from "../models/k8s/service-cidr.ts";
import type { HostPort, SandboxId } from "../pods/api.ts";
import type { ServiceProblems } from "./problems.ts";

export { lookUp } from "./lookup.ts";
export { frontendKey, hostPortKey } from "./names.ts";
export type { ProblemCode, ProblemEffect, ServiceProblem, ServiceProblems } from "./problems.ts";
export type { Change, ObjectName, PortProtocol };

// ---- in -----------------------------------------------------------------------------------------------------------------

/** A change of an object that is reflected into the store. `undefined` is "is no more". */
export type ReflectedInput =
  | { readonly kind: "endpointslice"; readonly at: ObjectName; readonly object: Entry<EndpointSlice> }
  | { readonly kind: "node"; readonly at: ObjectName; readonly object: Entry<K8sNode> }
  | { readonly kind: "service"; readonly at: ObjectName; readonly object: Entry<Service> }
  | { readonly kind: "servicecidr"; readonly at: ObjectName; readonly object: Entry<ServiceCidr> };

/** A change of the state that the engine knows. */
export type ServiceInput =
  | ReflectedInput
  /** Addresses of this node's own interfaces; its Node object may name others. */
  | { readonly kind: "own-addresses"; readonly addresses: readonly IpAddress[] }
  /** Ports of this node that one of its pods has for itself. */
  | { readonly kind: "host-ports"; readonly id: SandboxId; readonly object: PodHostPorts | undefined };

/** The ports of the node that a pod's interface has, and where they lead. */
export interface PodHostPorts {
  /** The pod; its container's ID and no namespace where the runtime is not Kubernetes'. */
  readonly pod: ObjectName;
  /** At most one a family. */
  readonly ips: readonly string[];
  readonly ports: readonly HostPort[];
  /** When it got them: milliseconds since 1970. */
  readonly since: number;
}

/** What is the same as long as the agent runs. */
export interface ServiceConfig {
  /** Name of this node. */
  readonly node: string;
  /** Networks of the pods of this node: whose packets reach a service first of all here. */
  readonly podCidrs: readonly string[];
  /** Where node ports are served: the first address of each family of the Node, or all of its addresses in these networks. */
  readonly nodePortAddresses: "primary" | readonly string[];
  /** Services with this `service-proxy-name` are ours; without it those that have none. */
  readonly proxyName?: string | undefined;
  /** An external IP that is the address of a node takes its ports from that node: served, as kube-proxy does, or not. */
  readonly nodeExternalIps: "ignore" | "serve";
}

// ---- out ----------------------------------------------------------------------------------------------------------------
//
// Where a packet to a service goes, in this order:
//   1. Address, protocol and port are those of a frontend: its path for the client says what becomes of it.
//   2. The address is one of the node-port addresses, protocol and port are those of a frontend without address: its path.
//   3. The address is one of this node, 127.0.0.0/8 among them, and the port is a pod's host port, of that address or of all: to
//      the pod, whose own policies see who asks. What services have of the node comes before, on every node alike.
//   4. The address is a cluster IP that is served here: reject.
//   5. The address is in a service CIDR: drop, unless it is a cluster IP that somebody else serves.
//   6. It is not for a service.
// A backend that is the client itself always sees a masqueraded source, or its answer would not pass by here.

/** `4/TCP/10.96.0.1/443`, `4/TCP/node/30080`, or `4/TCP/local/8080` of a host port. */
export type FrontendKey = Brand<string, "FrontendKey">;
/** `NAMESPACE/SERVICE:PORT/TCP/4/cluster`: port by its name, which may be empty. */
export type PoolId = Brand<string, "PoolId">;

export const FRONTEND_KINDS = ["ClusterIP", "LoadBalancer", "ExternalIP", "NodePort", "HostPort"] as const;
export type FrontendKind = (typeof FRONTEND_KINDS)[number];

/** A port of a service, or of a pod that has host ports. */
export interface ServicePortName extends ObjectName {
  /** Name of the port, "" when it has none; of a pod its number. */
  readonly port: string;
  /** The pod's interface, where namespace and name are a pod's. */
  readonly pod?: SandboxId | undefined;
}

/** Where clients reach a port of a service, or of a pod. */
export interface Frontend {
  readonly key: FrontendKey;
  readonly kind: FrontendKind;
  readonly family: IpFamily;
  readonly protocol: PortProtocol;
  /** Absent: every node-port address of the family; of a host port every address of the node. */
  readonly address?: IpAddress | undefined;
  readonly port: number;
  readonly service: ServicePortName;
  readonly paths: Paths;
  /** Of a host port without address: where a service has the port, or a host port of that very address. Sorted, never empty. */
  readonly except?: readonly IpAddress[] | undefined;
  /** Canonical networks from which clients may come, sorted; others are dropped. Absent: everyone. */
  readonly sources?: readonly string[] | undefined;
}

/**
 * Who asks. `pod`: a pod of this node. `node`: a process of this node itself. `outside`: everyone else, be it a pod of
 * another node: that one's own node has translated what it sends to services, but for this node's node ports.
 */
export const CLIENTS = ["pod", "node", "outside"] as const;
export type Client = (typeof CLIENTS)[number];

export type Paths = Readonly<Record<Client, Path>>;

export type Path =
  | { readonly verdict: "balance"; readonly pool: PoolId; readonly masquerade: boolean }
  /** To the pod whose host port it is; never masqueraded, but from the node's 127.0.0.0/8. */
  | { readonly verdict: "translate"; readonly to: Backend }
  /** Refused at once: the service has no endpoints anywhere. */
  | { readonly verdict: "reject" }
  /** It has, but none that this client may have from this node. */
  | { readonly verdict: "drop" };

/** Endpoints among which connections are balanced; each has the same weight. Never without backends. */
export interface Pool {
  readonly id: PoolId;
  readonly service: ServicePortName;
  readonly family: IpFamily;
  readonly protocol: PortProtocol;
  /** All of the cluster's that this node may use, or this node's own. */
  readonly scope: PoolScope;
  /** Sorted by address and port. */
  readonly backends: readonly Backend[];
  /** Terminating endpoints that still serve: what they have may go on, new connections go to the backends. Sorted alike. */
  readonly draining: readonly Backend[];
  /** Seconds for which a client keeps its backend, whichever frontend of the service port it uses; absent without affinity. */
  readonly affinity?: number | undefined;
  readonly balancing: Balancing;
}

export type PoolScope = "cluster" | "local";

/** `maglev`: which backend a connection gets survives changes of the others, on every node alike. */
export const BALANCINGS = ["random", "maglev"] as const;
export type Balancing = (typeof BALANCINGS)[number];

export interface Backend {
  readonly address: IpAddress;
  readonly port: number;
  /** It is on this node. */
  readonly local: boolean;
  /** Its address is a node's: it shares that node's network. */
  readonly onHost: boolean;
  /** It is going: it gets connections because there is no other. Of draining ones always true. */
  readonly terminating: boolean;
}

/** A cluster IP that is assigned. */
export interface ClusterIp {
  readonly address: IpAddress;
  /** By us: its unused ports are rejected; or by another proxy: it is left alone. */
  readonly servedBy: "other" | "us";
}

/** What is asked for at a node port of its own: whether this node has endpoints of a service. */
export interface HealthCheck {
  readonly port: number;
  readonly service: ObjectName;
  /** Ready endpoints on this node. */
  readonly localReady: number;
}

/** What is about no service in particular. Everything canonical and sorted. */
export interface ServiceBase {
  readonly nodePortAddresses: readonly IpAddress[];
  readonly serviceCidrs: readonly string[];
  readonly podCidrs: readonly string[];
}

/** What inputs changed; everything sorted. */
export interface ServiceChanges {
  readonly base: Change<ServiceBase> | undefined;
  readonly clusterIps: readonly Change<ClusterIp>[];
  readonly frontends: readonly Change<Frontend>[];
  readonly healthChecks: readonly Change<HealthCheck>[];
  readonly pools: readonly Change<Pool>[];
  readonly problems: readonly Change<ServiceProblems>[];
  /** When happened what the slices among the inputs report: milliseconds since 1970, for latency metrics. */
  readonly triggered: readonly number[];
}

/** Of {@link ServiceRows}: another number when they come to mean something else. */
export const SERVICE_ROWS_VERSION = 2;

/** Everything, for a resync. The same after every history that led to the same state. */
export interface ServiceRows {
  readonly version: typeof SERVICE_ROWS_VERSION;
  readonly base: ServiceBase;
  readonly clusterIps: readonly ClusterIp[];
  readonly frontends: readonly Frontend[];
  readonly healthChecks: readonly HealthCheck[];
  readonly pools: readonly Pool[];
  readonly problems: readonly ServiceProblems[];
}

/** What is in force, for renderers of changes. */
export interface ServiceView {
  readonly base: ServiceBase;
  frontend(key: FrontendKey): Frontend | undefined;
  pool(id: PoolId): Pool | undefined;
  /** Those with a path into the pool: where what a dataplane has for a frontend holds the backends themselves. */
  frontendsOf(pool: PoolId): readonly Frontend[];
  /** Whether it is an address of this node; those of its loopback are not among them. */
  isOwn(address: IpAddress): boolean;
  /** Whether the endpoint still serves, in the pool or not: connections to others have lost their end. */
  serves(service: ServicePortName, protocol: PortProtocol, address: IpAddress, port: number): boolean;
}

// ---- what serves --------------------------------------------------------------------------------------------------------

/** A southbound item; without a value it goes. */
export interface ServiceItem {
  readonly key: Key;
  readonly value: unknown;
}

/** What services need of a dataplane. */
export interface ServiceWiring {
  /** What is there with and without services. */
  serviceBase(): Iterable<KeyValue>;
  /** Everything. Pure; the same rows yield the same items. */
  renderServices(rows: ServiceRows): Iterable<KeyValue>;
  /** What a change touches. `view`: what is in force with it. */
  renderServiceChanges(changes: ServiceChanges, view: ServiceView): Iterable<ServiceItem>;
  /** Those of a pod's host ports among them, as they are by now: the pod can't do without. */
  renderHostPorts(frontends: readonly Frontend[]): Iterable<KeyValue>;
  /**
   * Ends what is left of connections that nobody would end: of UDP and SCTP, to a service, and not with an endpoint that still
   * serves it. Called when changes are in force that may have left such, and after a resync; resolves with how many there were.
   * `view` is asked while it runs, and may change. Absent where there are none.
   */
  endStale?(view: ServiceView): Promise<number>;
}
