import type { IpAddress } from "../base/ip/address.ts";
import { type Cidr, cidrContains, parseNetwork } from "../base/ip/cidr.ts";
import type { Backend, Balancing, Client, Frontend, PortProtocol } from "./api.ts";
import type { ServiceEngine } from "./engine.ts";
import { isLoopback4, lookUp } from "./lookup.ts";
import { socketText } from "./names.ts";

/** The first packet of a connection, as it comes to this node. */
export interface TracedPacket {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly protocol: PortProtocol;
  readonly port: number;
}

export interface Trace {
  readonly client: Client;
  /** Where it leads; absent where it is no matter of a service. */
  readonly frontend?: Frontend | undefined;
  readonly outcome: Outcome;
  /** In the order in which it was decided. */
  readonly steps: readonly string[];
}

export type Outcome =
  | {
      readonly verdict: "balance";
      /** Each is as likely as any other, unless the client has one already. */
      readonly backends: readonly TracedBackend[];
      readonly balancing: Balancing;
      /** Seconds for which the client keeps the one that it got. */
      readonly affinity?: number | undefined;
    }
  | { readonly verdict: "reject" }
  | { readonly verdict: "drop" }
  | { readonly verdict: "not-a-service" };

export interface TracedBackend extends Backend {
  /** The backend sees an address of this node instead of the client's. */
  readonly masqueraded: boolean;
}

/** What would become of a packet. Pure; goes the way that {@link Frontend} and what surrounds it lay down. */
export function trace(engine: ServiceEngine, packet: TracedPacket): Trace {
  const { from, to, protocol, port } = packet;
  const client = clientOf(engine, from);
  const steps = [`${from} is ${CLIENT_TEXT[client]}`];
  const end = (outcome: Outcome, why: string, frontend?: Frontend): Trace => {
    steps.push(why);
    return { client, ...(frontend ? { frontend } : {}), outcome, steps };
  };
  const what = socketText(to, port, protocol);
  const frontend = lookUp(engine, to, protocol, port);
  if (!frontend) {
    const assigned = engine.clusterIp(to);
    if (assigned?.servedBy === "us") return end({ verdict: "reject" }, `${to} is a cluster IP without ${what}`);
    if (assigned) return end({ verdict: "not-a-service" }, `${to} is a cluster IP that another proxy serves`);
    if (engine.here.isInServiceCidr(to)) return end({ verdict: "drop" }, `${to} is a cluster IP that no service has`);
    return end({ verdict: "not-a-service" }, `no service is at ${what}`);
  }
  const { namespace, name, port: portName } = frontend.service;
  const whose = `${frontend.service.pod === undefined ? "" : "pod "}${namespace}/${name}`;
  const of = `${whose}${portName === "" ? "" : `, port ${portName}`}`;
  steps.push(`${what} is ${KIND_TEXT[frontend.kind]} of ${of}`);
  if (frontend.sources && !isIn(from, frontend.sources)) {
    return end({ verdict: "drop" }, `${from} is in none of its source ranges`, frontend);
  }
  const path = frontend.paths[client];
  if (path.verdict === "reject") return end({ verdict: "reject" }, "no endpoint serves", frontend);
  if (path.verdict === "drop") return end({ verdict: "drop" }, "no endpoint on this node serves", frontend);
  if (path.verdict === "translate") {
    const masqueraded = path.to.address === from || isLoopback4(from);
    const backends = [{ ...path.to, masqueraded }];
    return end({ verdict: "balance", backends, balancing: "random" }, "the pod has it for itself", frontend);
  }
  const pool = engine.pool(path.pool);
  if (!pool) throw new Error(`there is no pool ${path.pool}`);
  const backends = pool.backends.map((b) => ({ ...b, masqueraded: path.masquerade || b.address === from }));
  const where = pool.scope === "local" ? "endpoints on this node" : "endpoints";
  const { balancing, affinity } = pool;
  const outcome: Outcome = { verdict: "balance", backends, balancing, ...(affinity === undefined ? {} : { affinity }) };
  return end(outcome, `one of ${backends.length} ${where}`, frontend);
}

/** Who asks, as this node sees it. */
export function clientOf(engine: ServiceEngine, ip: IpAddress): Client {
  if (engine.here.isOwn(ip) || isLoopback4(ip)) return "node";
  return engine.here.podCidrs.some((c) => cidrContains(c, ip)) ? "pod" : "outside";
}

const isIn = (ip: IpAddress, networks: readonly string[]): boolean =>
  networks.map((n): Cidr => parseNetwork(n)).some((c) => cidrContains(c, ip));

const CLIENT_TEXT: Readonly<Record<Client, string>> = {
  pod: "a pod of this node",
  node: "this node itself",
  outside: "not of this node",
};

const KIND_TEXT: Readonly<Record<Frontend["kind"], string>> = {
  ClusterIP: "a cluster IP",
  LoadBalancer: "a load balancer's address",
  ExternalIP: "an external IP",
  NodePort: "a node port",
  HostPort: "a host port",
};
