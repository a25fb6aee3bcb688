import { clusterNetworkPolicyCodec } from "./cluster-network-policy.ts";
import { endpointSliceCodec } from "./endpoint-slice.ts";
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
