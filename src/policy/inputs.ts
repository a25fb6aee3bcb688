import { clusterNetworkPolicyCodec } from "../models/k8s/cluster-network-policy.ts";
import type { K8sCodec } from "../models/k8s/codec.ts";
import { type Entry, readEntry } from "../models/k8s/entry.ts";
import { type ObjectName, parseK8sKey } from "../models/k8s/keys.ts";
import { namespaceCodec } from "../models/k8s/namespace.ts";
import { networkPolicyCodec } from "../models/k8s/network-policy.ts";
import { k8sNodeCodec } from "../models/k8s/node.ts";
import { podCodec } from "../models/k8s/pod.ts";
import type { PolicyInput } from "./api.ts";

/**
 * An entry of the store below the prefix of reflected objects as the engine takes it; `value` undefined: it is gone.
 * Undefined for kinds that policies have nothing to do with. A value that can't be read becomes `Unreadable`. Throws
 * `ModelError` BAD_KEY for keys that mean nothing.
 */
export function policyInput(key: string, value: Uint8Array | undefined): PolicyInput | undefined {
  const { kind, namespace, name } = parseK8sKey(key);
  const at = { namespace, name };
  const read = <T extends ObjectName>(codec: K8sCodec<T>): Entry<T> => readEntry(codec, key, value);
  switch (kind) {
    case "pod":
      return { kind, at, object: read(podCodec) };
    case "namespace":
      return { kind, at, object: read(namespaceCodec) };
    case "node":
      return { kind, at, object: read(k8sNodeCodec) };
    case "networkpolicy":
      return { kind, at, object: read(networkPolicyCodec) };
    case "clusternetworkpolicy":
      return { kind, at, object: read(clusterNetworkPolicyCodec) };
    case "service":
    case "endpointslice":
    case "servicecidr":
      return undefined;
  }
}
