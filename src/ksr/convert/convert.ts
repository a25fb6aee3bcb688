import type { K8sKind, ObjectName } from "../../models/k8s/keys.ts";
import { toNamespace, toNode, toPod, toServiceCidr } from "./cluster.ts";
import { mapping } from "./members.ts";
import { toClusterNetworkPolicy, toNetworkPolicy } from "./policies.ts";
import { toEndpointSlice, toService } from "./services.ts";

/** A kind that is reflected, as the API server names it. */
interface Source {
  readonly kind: K8sKind;
  /** Undefined: an object of the kind that is not reflected. Throws {@link ConvertError} for what is no object. */
  readonly convert: (object: unknown) => ObjectName | undefined;
}

/** By `apiVersion/kind`. */
export const SOURCES: Readonly<Record<string, Source>> = {
  "v1/Pod": { kind: "pod", convert: toPod },
  "v1/Namespace": { kind: "namespace", convert: toNamespace },
  "v1/Node": { kind: "node", convert: toNode },
  "v1/Service": { kind: "service", convert: toService },
  "discovery.k8s.io/v1/EndpointSlice": { kind: "endpointslice", convert: toEndpointSlice },
  "networking.k8s.io/v1/NetworkPolicy": { kind: "networkpolicy", convert: toNetworkPolicy },
  "networking.k8s.io/v1/ServiceCIDR": { kind: "servicecidr", convert: toServiceCidr },
  "policy.networking.k8s.io/v1alpha2/ClusterNetworkPolicy": {
    kind: "clusternetworkpolicy",
    convert: toClusterNetworkPolicy,
  },
};

/** An object as it is to be kept. */
export interface Converted {
  readonly kind: K8sKind;
  readonly object: ObjectName;
}

/**
 * Any object in the API server's form, from JSON or YAML. Undefined if it is not of a kind that is reflected, or not to be.
 * Throws {@link ConvertError} for what is no object.
 */
export function convertObject(object: unknown): Converted | undefined {
  const { apiVersion, kind } = mapping(object);
  const id = typeof apiVersion === "string" && typeof kind === "string" ? `${apiVersion}/${kind}` : "";
  const source = Object.hasOwn(SOURCES, id) ? SOURCES[id] : undefined;
  const converted = source?.convert(object);
  return source && converted && { kind: source.kind, object: converted };
}
