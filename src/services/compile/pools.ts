import type { IpFamily } from "../../base/ip/address.ts";
import type { ServicePort } from "../../models/k8s/service.ts";
import {
  type Backend,
  type Balancing,
  CLIENTS,
  type Path,
  type Paths,
  type Pool,
  type PoolId,
  type PoolScope,
  type PortProtocol,
  type ServicePortName,
} from "../api.ts";
import type { Here } from "../index/here.ts";
import { poolId } from "../names.ts";
import { type Candidate, isLastResort } from "./candidates.ts";
import { type Choice, chooseCluster, chooseLocal, isIn, reasonOf } from "./choose.ts";

/** What clients of a service port can be given, in one family. */
export interface Offer {
  readonly cluster: Choice;
  readonly local: Choice;
  /** Somebody serves somewhere. */
  readonly hasAny: boolean;
}

export function offerOf(candidates: readonly Candidate[], here: Here): Offer {
  const cluster = chooseCluster(candidates, here);
  return { cluster, local: chooseLocal(candidates), hasAny: cluster !== "none" };
}

export const POOL_SCOPES = ["cluster", "local"] as const satisfies readonly PoolScope[];

/** Of the pools of a service port, if it has them. */
export type PoolIds = Readonly<Record<PoolScope, PoolId>>;

export const poolIds = (service: ServicePortName, protocol: PortProtocol, family: IpFamily): PoolIds => ({
  cluster: poolId(service, protocol, family, "cluster"),
  local: poolId(service, protocol, family, "local"),
});

export interface PoolFacts {
  readonly ids: PoolIds;
  readonly service: ServicePortName;
  readonly port: ServicePort;
  readonly family: IpFamily;
  readonly candidates: readonly Candidate[];
  readonly offer: Offer;
  readonly affinity: number | undefined;
  readonly balancing: Balancing;
}

export function poolOf(scope: PoolScope, facts: PoolFacts, here: Here): Pool {
  const { ids, service, port, family, candidates, offer, affinity, balancing } = facts;
  const backends: Backend[] = [];
  const draining: Backend[] = [];
  for (const candidate of candidates) {
    const reason = reasonOf(candidate, offer[scope], scope, here);
    if (isIn(reason)) backends.push(backendOf(candidate));
    else if (reason === "draining") draining.push(backendOf(candidate));
  }
  const pool = { id: ids[scope], service, family, protocol: port.protocol, scope, backends, draining, balancing };
  return affinity === undefined ? pool : { ...pool, affinity };
}

const backendOf = (c: Candidate): Backend => ({
  address: c.address,
  port: c.port,
  local: c.local,
  onHost: c.onHost,
  terminating: isLastResort(c),
});

/** Of a cluster IP. Whoever is no pod of this node may get answers another way round: masqueraded. */
export function internalPaths(offer: Offer, ids: PoolIds, isLocal: boolean): Paths {
  const scope = isLocal ? "local" : "cluster";
  const others = pathTo(scope, true, offer, ids);
  return { pod: pathTo(scope, false, offer, ids), node: others, outside: others };
}

/**
 * Of all other addresses. With policy Local, clients from outside keep their address, and get what is on this node; those on
 * this node are not asked to, as if they had gone out to the load balancer and come in again where endpoints are. Pods of
 * this node are never masqueraded (kube-proxy does with policy Cluster): their answers come by here anyway, and network
 * policies shall see who they are.
 */
export function externalPaths(offer: Offer, ids: PoolIds, isLocal: boolean): Paths {
  const node = pathTo("cluster", true, offer, ids);
  return {
    pod: pathTo("cluster", false, offer, ids),
    node,
    outside: isLocal ? pathTo("local", false, offer, ids) : node,
  };
}

function pathTo(scope: PoolScope, masquerade: boolean, offer: Offer, ids: PoolIds): Path {
  if (!offer.hasAny) return REJECT;
  return offer[scope] === "none" ? DROP : { verdict: "balance", pool: ids[scope], masquerade };
}

const REJECT: Path = { verdict: "reject" };
const DROP: Path = { verdict: "drop" };

export const leadTo = (paths: Paths, pool: PoolId): boolean =>
  CLIENTS.some((c) => paths[c].verdict === "balance" && paths[c].pool === pool);
