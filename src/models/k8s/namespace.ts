import { z } from "zod";
import { clusterMeta, k8sCodec, labelMap } from "./codec.ts";
import type { ObjectName } from "./keys.ts";
import type { Labels } from "./selector.ts";

/** What is kept of a Namespace. */
export interface Namespace extends ObjectName {
  readonly namespace: "";
  readonly uid: string;
  /** Always has `kubernetes.io/metadata.name`, as the API server sees to. */
  readonly labels: Labels;
  /** Those of Heddle: `heddle.dev/…`. */
  readonly annotations?: Labels | undefined;
}

export const NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name";

export const namespaceCodec = k8sCodec<Namespace>(
  "namespace",
  z.object({ ...clusterMeta, labels: labelMap, annotations: labelMap.optional() }),
);
