import type { K8sKind } from "../models/k8s/keys.ts";

/** A resource of the Kubernetes API that is reflected. */
export interface Resource {
  readonly kind: K8sKind;
  /** `v1/Pod`: what its objects call themselves. */
  readonly id: string;
  /** Path of its group and version: what discovery is asked at. */
  readonly group: string;
  readonly plural: string;
  /** Not every cluster has it. */
  readonly optional: boolean;
}

const resource = (kind: K8sKind, apiVersion: string, name: string, plural: string, optional = false): Resource => ({
  kind,
  id: `${apiVersion}/${name}`,
  group: apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`,
  plural,
  optional,
});

/** In the order in which they are listed first: small ones, and what isolates, before those that it concerns. */
export const RESOURCES: readonly Resource[] = [
  resource("namespace", "v1", "Namespace", "namespaces"),
  resource("node", "v1", "Node", "nodes"),
  // ServiceCIDR has been v1 since Kubernetes 1.33; ClusterNetworkPolicy is a CRD.
  resource("servicecidr", "networking.k8s.io/v1", "ServiceCIDR", "servicecidrs", true),
  resource(
    "clusternetworkpolicy",
    "policy.networking.k8s.io/v1alpha2",
    "ClusterNetworkPolicy",
    "clusternetworkpolicies",
    true,
  ),
  resource("networkpolicy", "networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
  resource("service", "v1", "Service", "services"),
  resource("endpointslice", "discovery.k8s.io/v1", "EndpointSlice", "endpointslices"),
  resource("pod", "v1", "Pod", "pods"),
];

/** Path of the whole resource, over all namespaces. */
export const pathOf = ({ group, plural }: Resource): string => `${group}/${plural}`;
