import { z } from "zod";
import type { IpAddress } from "../../base/ip/address.ts";
import { ip, k8sCodec, labelMap, namespacedMeta, portNumber } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import type { Labels } from "./selector.ts";

/** What is kept of a Pod. */
export interface Pod extends ObjectName {
  /** "" when not known. */
  readonly uid: string;
  /**
   * Of a mirror of a static pod: the UID under which the kubelet runs the pod, and which the runtime passes to CNI plugins.
   * From annotation `kubernetes.io/config.mirror`.
   */
  readonly mirrorOf?: string | undefined;
  /** Creation, seconds since 1970; 0 when not known. */
  readonly created: number;
  readonly labels: Labels;
  /** Where it is scheduled to. */
  readonly node?: string | undefined;
  /** It shares its node's network: its addresses are the node's. */
  readonly hostNetwork: boolean;
  readonly phase: PodPhase;
  /** Its deletion has begun. It has its network and its addresses until it is gone. */
  readonly terminating: boolean;
  /** Empty until the runtime has reported them. */
  readonly ips: readonly IpAddress[];
  /** Those with a name, of all containers that run while the pod does. */
  readonly ports: readonly NamedPort[];
  /** Those of Heddle: `heddle.dev/…`. */
  readonly annotations?: Labels | undefined;
}

export const POD_PHASES = ["Pending", "Running", "Succeeded", "Failed", "Unknown"] as const;
export type PodPhase = (typeof POD_PHASES)[number];

export interface NamedPort {
  readonly name: string;
  readonly protocol: PortProtocol;
  readonly port: number;
}

export const PORT_PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

/** All its containers have ended for good: it has no network any more, its addresses may be another pod's. */
export const isCompleted = (pod: Pick<Pod, "phase">): boolean => pod.phase === "Succeeded" || pod.phase === "Failed";

export const podCodec = k8sCodec<Pod>(
  "pod",
  z.object({
    ...namespacedMeta,
    mirrorOf: z.string().optional(),
    created: z.number(),
    labels: labelMap,
    node: z.string().optional(),
    hostNetwork: z.boolean(),
    phase: z.enum(POD_PHASES),
    terminating: z.boolean(),
    ips: z.array(ip).max(64),
    ports: z.array(z.object({ name: z.string().min(1), protocol: z.enum(PORT_PROTOCOLS), port: portNumber })),
    annotations: labelMap.optional(),
  }),
);
