import { z } from "zod";
import { clusterMeta, k8sCodec } from "./codec.ts";
import type { ObjectName } from "./keys.ts";

/** What is kept of a ServiceCIDR (networking.k8s.io/v1). */
export interface ServiceCidr extends ObjectName {
  readonly namespace: "";
  readonly uid: string;
  /** One, or one a family. */
  readonly cidrs: readonly string[];
}

export const serviceCidrCodec = k8sCodec<ServiceCidr>(
  "servicecidr",
  z.object({ ...clusterMeta, cidrs: z.array(z.string()).max(2) }),
);
