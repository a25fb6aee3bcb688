import { familyOf, type IpAddress, type IpFamily, isSpecialIp } from "../../base/ip/address.ts";
import type { EndpointSlice } from "../../models/k8s/endpoint-slice.ts";
import type { Service, ServicePort } from "../../models/k8s/service.ts";
import {
  BALANCINGS,
  type Balancing,
  type ClusterIp,
  FRONTEND_KINDS,
  type Frontend,
  type FrontendKind,
  type HealthCheck,
  type Paths,
  type Pool,
} from "../api.ts";
import type { Age, Claim } from "../index/claims.ts";
import type { Here } from "../index/here.ts";
import { frontendKey, objectKey } from "../names.ts";
import type { ServiceProblem } from "../problems.ts";
import { type Candidate, candidatesOf } from "./candidates.ts";
import { externalPaths, internalPaths, leadTo, offerOf, POOL_SCOPES, poolIds, poolOf } from "./pools.ts";
import { type SourcesOf, sourcesOf } from "./sources.ts";

/** What becomes of a service on this node, others not considered. */
export interface BuiltService {
  readonly frontends: readonly Claim<Frontend>[];
  readonly healthChecks: readonly Claim<HealthCheck>[];
  readonly pools: readonly Pool[];
  readonly clusterIps: readonly ClusterIp[];
  readonly problems: readonly ServiceProblem[];
}

export const NOTHING: BuiltService = { frontends: [], healthChecks: [], pools: [], clusterIps: [], problems: [] };

const BALANCING_ANNOTATION = "heddle.dev/lb";
const CLUSTER_IP_RANK = 0;
const OTHER_RANK = 1;

/** Why nothing is done for a service; undefined if it is served. */
export type NotServed = "external-name" | "headless" | "other-proxy";

export function notServed(service: Service, here: Here): NotServed | undefined {
  if (service.proxyName !== here.config.proxyName) return "other-proxy";
  if (service.type === "ExternalName") return "external-name";
  return service.clusterIps.length === 0 ? "headless" : undefined;
}

export function buildService(service: Service, slices: readonly EndpointSlice[], here: Here): BuiltService {
  const why = notServed(service, here);
  const assigned = (servedBy: ClusterIp["servedBy"]) => service.clusterIps.map((address) => ({ address, servedBy }));
  if (why === "other-proxy") return { ...NOTHING, clusterIps: assigned("other") };
  if (why !== undefined) return NOTHING;
  const build = new Build(service, slices, here);
  for (const family of familiesOf(service)) {
    for (const [i, port] of service.ports.entries()) build.port(port, i, family);
  }
  return { ...build.done(), clusterIps: assigned("us") };
}

/** A service is served in the families of its cluster IPs. */
export const familiesOf = (service: Service): IpFamily[] => [...new Set(service.clusterIps.map(familyOf))];

export const usesLocal = (service: Service) => ({
  internal: service.internalTrafficPolicy === "Local",
  // Of a service that nobody reaches from outside it means nothing.
  external:
    service.externalTrafficPolicy === "Local" && (service.type !== "ClusterIP" || service.externalIps.length > 0),
});

/** As annotated; at random if it says something that is not known. */
export const balancingOf = ({ annotations }: Service): Balancing =>
  BALANCINGS.find((b) => b === annotations?.[BALANCING_ANNOTATION]) ?? "random";

const ageOf = (service: Service): Age => ({
  created: service.created ?? Number.POSITIVE_INFINITY,
  uid: service.uid,
  owner: objectKey(service),
});

/** An address at which a service is to be reached. */
interface At {
  readonly kind: FrontendKind;
  readonly address: IpAddress | undefined;
  readonly at: string;
}

class Build {
  readonly #service: Service;
  readonly #slices: readonly EndpointSlice[];
  readonly #here: Here;
  readonly #age: Age;
  readonly #problems: ServiceProblem[] = [];
  readonly #frontends: Claim<Frontend>[] = [];
  readonly #pools = new Map<string, Pool>();
  readonly #balancing: Balancing;
  readonly #sources: SourcesOf;
  readonly #local: ReturnType<typeof usesLocal>;
  readonly #addresses: readonly At[];
  /** Of the family that the service prefers. */
  readonly #localReady = new Set<IpAddress>();

  constructor(service: Service, slices: readonly EndpointSlice[], here: Here) {
    this.#service = service;
    this.#slices = slices;
    this.#here = here;
    this.#age = ageOf(service);
    this.#balancing = balancingOf(service);
    this.#checkBalancing();
    this.#sources = sourcesOf(service, here, this.#problems);
    this.#local = usesLocal(service);
    this.#addresses = [...this.#clusterIps(), ...this.#loadBalancerIps(), ...this.#externalIps()];
  }

  port(port: ServicePort, index: number, family: IpFamily): void {
    const here = this.#here;
    const candidates = candidatesOf(this.#slices, { service: this.#service, port, family, here });
    if (family === familiesOf(this.#service)[0]) this.#countLocal(candidates);
    const offer = offerOf(candidates, here);
    const name = { namespace: this.#service.namespace, name: this.#service.name, port: port.name };
    const ids = poolIds(name, port.protocol, family);
    const internal = internalPaths(offer, ids, this.#local.internal);
    const external = externalPaths(offer, ids, this.#local.external);
    const used = new Set<Paths>();
    const claim = ({ kind, address, at }: At, number: number): void => {
      const paths = kind === "ClusterIP" ? internal : external;
      used.add(paths);
      const key = frontendKey(family, port.protocol, address, number);
      const sources = kind === "LoadBalancer" ? this.#sources(family) : undefined;
      this.#frontends.push({
        key,
        row: {
          key,
          kind,
          family,
          protocol: port.protocol,
          ...(address === undefined ? {} : { address }),
          port: number,
          service: name,
          paths,
          ...(sources === undefined ? {} : { sources }),
        },
        age: this.#age,
        rank: kind === "ClusterIP" ? CLUSTER_IP_RANK : OTHER_RANK,
        order: index * FRONTEND_KINDS.length + FRONTEND_KINDS.indexOf(kind),
        at,
      });
    };
    for (const at of this.#addresses) {
      if (at.address !== undefined && familyOf(at.address) === family) claim(at, port.port);
    }
    const { nodePort } = port;
    if (nodePort !== undefined) {
      claim({ kind: "NodePort", address: undefined, at: `spec.ports[${index}].nodePort` }, nodePort);
    }
    const { clientIpAffinity: affinity } = this.#service;
    const facts = { ids, service: name, port, family, candidates, offer, affinity, balancing: this.#balancing };
    for (const scope of POOL_SCOPES) {
      if ([...used].some((paths) => leadTo(paths, ids[scope]))) this.#pools.set(ids[scope], poolOf(scope, facts, here));
    }
  }

  done(): Omit<BuiltService, "clusterIps"> {
    return {
      frontends: this.#frontends,
      healthChecks: this.#healthChecks(),
      pools: [...this.#pools.values()],
      problems: this.#problems,
    };
  }

  #clusterIps(): At[] {
    return this.#service.clusterIps.map((address) => {
      if (this.#here.isInServiceCidr(address) === false) {
        this.#problem("OUTSIDE_RANGE", "spec.clusterIPs", `${address} is in no ServiceCIDR`, "none");
      }
      return { kind: "ClusterIP", address, at: "spec.clusterIPs" };
    });
  }

  #loadBalancerIps(): At[] {
    return this.#reachable(this.#service.loadBalancerIps, "status.loadBalancer.ingress").map((address) => ({
      kind: "LoadBalancer",
      address,
      at: "status.loadBalancer.ingress",
    }));
  }

  #externalIps(): At[] {
    const at = "spec.externalIPs";
    return this.#reachable(this.#service.externalIps, at).flatMap((address) => {
      if (this.#here.isNodeAddress(address)) {
        const ignore = this.#here.config.nodeExternalIps === "ignore";
        this.#problem("NODE_ADDRESS", at, `${address} is a node's own address`, ignore ? "part-ignored" : "none");
        if (ignore) return [];
      }
      return { kind: "ExternalIP" as const, address, at };
    });
  }

  #reachable(addresses: readonly IpAddress[], at: string): IpAddress[] {
    const families = familiesOf(this.#service);
    return addresses.filter((ip) => {
      if (isSpecialIp(ip)) {
        this.#problem("SPECIAL_ADDRESS", at, `${ip} can't be the address of a service`, "part-ignored");
        return false;
      }
      if (families.includes(familyOf(ip))) return true;
      const message = `the service has no cluster IP of the family of ${ip}`;
      this.#problem("FOREIGN_FAMILY", at, message, "part-ignored");
      return false;
    });
  }

  #checkBalancing(): void {
    const text = this.#service.annotations?.[BALANCING_ANNOTATION];
    if (text === undefined || BALANCINGS.some((b) => b === text)) return;
    const message = `${JSON.stringify(text)} is none of ${BALANCINGS.join(", ")}`;
    this.#problem("BAD_ANNOTATION", `metadata.annotations["${BALANCING_ANNOTATION}"]`, message, "part-ignored");
  }

  #countLocal(candidates: readonly Candidate[]): void {
    for (const { local, ready, address } of candidates) if (local && ready) this.#localReady.add(address);
  }

  #healthChecks(): Claim<HealthCheck>[] {
    const { type, externalTrafficPolicy, healthCheckNodePort: port, namespace, name } = this.#service;
    if (type !== "LoadBalancer" || externalTrafficPolicy !== "Local") return [];
    const at = "spec.healthCheckNodePort";
    if (port === undefined) {
      const message = "there is no such port, so load balancers can't ask where endpoints are";
      this.#problem("NO_HEALTH_CHECK", at, message, "none");
      return [];
    }
    const row = { port, service: { namespace, name }, localReady: this.#localReady.size };
    return [{ key: String(port), row, age: this.#age, rank: OTHER_RANK, order: 0, at }];
  }

  #problem(code: ServiceProblem["code"], at: string, message: string, effect: ServiceProblem["effect"]): void {
    this.#problems.push({ code, at, message, effect });
  }
}
