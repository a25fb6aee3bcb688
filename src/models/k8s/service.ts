import { z } from "zod";
import type { IpAddress } from "../../base/ip/address.ts";
import { ip, k8sCodec, labelMap, namespacedMeta, portNumber } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import { PORT_PROTOCOLS, type PortProtocol } from "./pod.ts";
import type { Labels } from "./selector.ts";

/** What is kept of a Service. */
export interface Service extends ObjectName {
  readonly uid: string;
  /** Creation, seconds since 1970; absent when not known. */
  readonly created?: number | undefined;
  readonly type: ServiceType;
  /** Without "None": empty for a headless service. */
  readonly clusterIps: readonly IpAddress[];
  readonly externalIps: readonly IpAddress[];
  /** Of the load balancer's status; not those it proxies by itself. */
  readonly loadBalancerIps: readonly IpAddress[];
  /** Those that it proxies by itself (ipMode Proxy): nodes have nothing to do with them. */
  readonly proxiedIps?: readonly IpAddress[] | undefined;
  /** Who may use the load balancer's addresses, as written; everyone if empty. */
  readonly sourceRanges: readonly string[];
  readonly ports: readonly ServicePort[];
  readonly internalTrafficPolicy: TrafficPolicy;
  readonly externalTrafficPolicy: TrafficPolicy;
  readonly healthCheckNodePort?: number | undefined;
  /** How long a client keeps its endpoint, in seconds; absent without affinity. */
  readonly clientIpAffinity?: number | undefined;
  /** As written: PreferClose, PreferSameZone, PreferSameNode … */
  readonly trafficDistribution?: string | undefined;
  /** Endpoints count although they are not ready. */
  readonly publishNotReady: boolean;
  /** Label `service.kubernetes.io/service-proxy-name`: who else is to serve it. */
  readonly proxyName?: string | undefined;
  /** Those of Heddle: `heddle.dev/…`. */
  readonly annotations?: Labels | undefined;
}

export const SERVICE_TYPES = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] as const;
export type ServiceType = (typeof SERVICE_TYPES)[number];

export const TRAFFIC_POLICIES = ["Cluster", "Local"] as const;
export type TrafficPolicy = (typeof TRAFFIC_POLICIES)[number];

export interface ServicePort {
  /** "" when it has none. EndpointSlices name it the same. */
  readonly name: string;
  readonly protocol: PortProtocol;
  readonly port: number;
  readonly nodePort?: number | undefined;
}

export const serviceCodec = k8sCodec<Service>(
  "service",
  z.object({
    ...namespacedMeta,
    created: z.number().optional(),
    type: z.enum(SERVICE_TYPES),
    clusterIps: z.array(ip),
    externalIps: z.array(ip),
    loadBalancerIps: z.array(ip),
    proxiedIps: z.array(ip).optional(),
    sourceRanges: z.array(z.string()),
    ports: z.array(
      z.object({
        name: z.string(),
        protocol: z.enum(PORT_PROTOCOLS),
        port: portNumber,
        nodePort: portNumber.optional(),
      }),
    ),
    internalTrafficPolicy: z.enum(TRAFFIC_POLICIES),
    externalTrafficPolicy: z.enum(TRAFFIC_POLICIES),
    healthCheckNodePort: portNumber.optional(),
    clientIpAffinity: z.int().min(1).optional(),
    trafficDistribution: z.string().optional(),
    publishNotReady: z.boolean(),
    proxyName: z.string().optional(),
    annotations: labelMap.optional(),
  }),
);
