import { z } from "zod";
import type { IpAddress } from "../../base/ip/address.ts";
import { clusterMeta, ip, k8sCodec, labelMap } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import type { Labels } from "./selector.ts";

/** What is kept of a Kubernetes Node; what Heddle's own agents say of nodes is in ../node.ts. */
export interface K8sNode extends ObjectName {
  readonly namespace: "";
  readonly uid: string;
  readonly labels: Labels;
  /** Internal and external addresses, in the order of its status; names are left out. */
  readonly addresses: readonly IpAddress[];
  /** As Kubernetes allocated them, if it does. */
  readonly podCIDRs: readonly string[];
  /** It is about to be removed: its deletion has begun, or the cluster autoscaler has said that it is going to. */
  readonly leaving?: true | undefined;
}

export const k8sNodeCodec = k8sCodec<K8sNode>(
  "node",
  z.object({
    ...clusterMeta,
    labels: labelMap,
    addresses: z.array(ip).max(64),
    podCIDRs: z.array(z.string()).max(64),
    leaving: z.literal(true).optional(),
  }),
);
