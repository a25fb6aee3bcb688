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
import type { ServiceProblems } from "./problems.ts";

export { frontendKey } from "./names.ts";
export type { ProblemCode, ProblemEffect, ServiceProblem, ServiceProblems } from "./problems.ts";
export type { Change, ObjectName, PortProtocol };

// ---- in -----------------------------------------------------------------------------------------------------------------

/** A change of the state that the engine knows. `undefined` is "is no more". */
export type ServiceInput =
  | { readonly kind: "endpointslice"; readonly at: ObjectName; readonly object: Entry<EndpointSlice> }
  | { readonly kind: "node"; readonly at: ObjectName; readonly object: Entry<K8sNode> }
  | { readonly kind: "service"; readonly at: ObjectName; readonly object: Entry<Service> }
  | { readonly kind: "servicecidr"; readonly at: ObjectName; readonly object: Entry<ServiceCidr> }
  /** Addresses of this node's own interfaces; its Node object may name others. */
  | { readonly kind: "own-addresses"; readonly addresses: readonly IpAddress[] };

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
//   3. The address is a cluster IP that is served here: reject.
//   4. The address is in a service CIDR: drop, unless it is a cluster IP that somebody else serves.
//   5. It is not for a service.
// A backend that is the client itself always sees a masqueraded source, or its answer would not pass by here.

/** `4/TCP/10.96.0.1/443`, or `4/TCP/node/30080`. */
export type FrontendKey = Brand<string, "FrontendKey">;
/** `NAMESPACE/SERVICE:PORT/TCP/4/cluster`: port by its name, which may be empty. */
export type PoolId = Brand<string, "PoolId">;

export const FRONTEND_KINDS = ["ClusterIP", "LoadBalancer", "ExternalIP", "NodePort"] as const;
export type FrontendKind = (typeof FRONTEND_KINDS)[number];

/** A port of a service. */
export interface ServicePortName extends ObjectName {
  /** Name of the port; "" when it has none. */
  readonly port: string;
}

/** Where clients reach a port of a service. */
export interface Frontend {
  readonly key: FrontendKey;
  readonly kind: FrontendKind;
  readonly family: IpFamily;
  readonly protocol: PortProtocol;
  /** Absent: every node-port address of the family. */
  readonly address?: IpAddress | undefined;
  readonly port: number;
  readonly service: ServicePortName;
  readonly paths: Paths;
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
export const SERVICE_ROWS_VERSION = 1;

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
  /**
   * Ends what is left of connections that nobody would end: of UDP and SCTP, to a service, and not with an endpoint that still
   * serves it. Called when changes are in force that may have left such, and after a resync; resolves with how many there were.
   * `view` is asked while it runs, and may change. Absent where there are none.
   */
  endStale?(view: ServiceView): Promise<number>;
}
