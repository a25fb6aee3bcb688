import type { K8sCodec } from "../models/k8s/codec.ts";
import { endpointSliceCodec } from "../models/k8s/endpoint-slice.ts";
import { type Entry, readEntry } from "../models/k8s/entry.ts";
import { type ObjectName, parseK8sKey } from "../models/k8s/keys.ts";
import { k8sNodeCodec } from "../models/k8s/node.ts";
import { serviceCodec } from "../models/k8s/service.ts";
import { serviceCidrCodec } from "../models/k8s/service-cidr.ts";
import type { ReflectedInput } from "./api.ts";

/**
 * An entry of the store below the prefix of reflected objects as the engine takes it; `value` undefined: it is gone.
 * Undefined for kinds that services have nothing to do with. A value that can't be read becomes `Unreadable`. Throws
 * `ModelError` BAD_KEY for keys that mean nothing.
 */
export function serviceInput(key: string, value: Uint8Array | undefined): ReflectedInput | undefined {
  const { kind, namespace, name } = parseK8sKey(key);
  const at = { namespace, name };
  const read = <T extends ObjectName>(codec: K8sCodec<T>): Entry<T> => readEntry(codec, key, value);
  switch (kind) {
    case "service":
      return { kind, at, object: read(serviceCodec) };
    case "endpointslice":
      return { kind, at, object: read(endpointSliceCodec) };
    case "servicecidr":
      return { kind, at, object: read(serviceCidrCodec) };
    case "node":
      return { kind, at, object: read(k8sNodeCodec) };
    case "pod":
    case "namespace":
    case "networkpolicy":
    case "clusternetworkpolicy":
      return undefined;
  }
}
