import { z } from "zod";
import { listenAddress, logConfig, storeConfig } from "./common-parts.ts";

/** RFC 1123, as the API server wants names of namespaces and leases. */
const objectName = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$/, "must be a name as Kubernetes allows them");

function checkSource(
  { kubeconfig, manifests }: { readonly kubeconfig?: string | undefined; readonly manifests?: string | undefined },
  context: z.RefinementCtx,
): void {
  if (kubeconfig === undefined || manifests === undefined) return;
  context.addIssue({ code: "custom", path: ["manifests"], message: "give a kubeconfig or manifests, not both" });
}

export const ksrConfigSchema = z
  .strictObject({
    kubeconfig: z
      .string()
      .min(1)
      .optional()
      .describe("Kubeconfig file; the service account of the pod that it runs in if absent. Also --kubeconfig."),
    manifests: z
      .string()
      .min(1)
      .optional()
      .describe("Directory of YAML and JSON manifests to reflect in place of a Kubernetes API. Also --manifests."),
    store: storeConfig.describe("The store that the cluster's agents share."),
    rest: listenAddress.default("127.0.0.1:9192").describe("Address and port of REST and metrics."),
    log: logConfig,
    pageSize: z.int().min(1).max(10_000).default(250).describe("Objects that are asked of the API at once."),
    leaderElection: z
      .strictObject({
        enabled: z.boolean().default(true).describe("Of several reflectors one writes, and the others stand by."),
        namespace: objectName.optional().describe("Namespace of the Lease; that of the pod or the context if absent."),
        name: objectName.default("heddle-ksr").describe("Name of the Lease."),
      })
      .prefault({})
      .describe("By a Lease of the Kubernetes API; by one of the store where there are only manifests."),
  })
  .superRefine(checkSource);

export type KsrConfig = z.infer<typeof ksrConfigSchema>;
