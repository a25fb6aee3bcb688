import { clusterNetworkPolicyCodec } from "./cluster-network-policy.ts";
import type { K8sCodec } from "./codec.ts";
import { endpointSliceCodec } from "./endpoint-slice.ts";
import { type K8sKind, type ObjectName, parseK8sKey } from "./keys.ts";
import { namespaceCodec } from "./namespace.ts";
import { networkPolicyCodec } from "./network-policy.ts";
import { k8sNodeCodec } from "./node.ts";
import { podCodec } from "./pod.ts";
import { serviceCodec } from "./service.ts";
import { serviceCidrCodec } from "./service-cidr.ts";

/** The codec of every kind of reflected object. */
export const K8S_CODECS = {
  pod: podCodec,
  namespace: namespaceCodec,
  node: k8sNodeCodec,
  networkpolicy: networkPolicyCodec,
  clusternetworkpolicy: clusterNetworkPolicyCodec,
  service: serviceCodec,
  endpointslice: endpointSliceCodec,
  servicecidr: serviceCidrCodec,
} as const;

/** The object of any key below {@link K8S_PREFIX}. Throws {@link ModelError}. */
export function decodeK8s(key: string, value: Uint8Array): { readonly kind: K8sKind; readonly object: ObjectName } {
  const { kind } = parseK8sKey(key);
  const codec: Pick<K8sCodec<ObjectName>, "decode"> = K8S_CODECS[kind];
  return { kind, object: codec.decode(key, value) };
}
