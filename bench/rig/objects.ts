import type { ClusterNetworkPolicy } from "../../src/models/k8s/cluster-network-policy.ts";
import { K8S_CODECS } from "../../src/models/k8s/codecs.ts";
import type { EndpointSlice } from "../../src/models/k8s/endpoint-slice.ts";
import type { Namespace } from "../../src/models/k8s/namespace.ts";
import { NAMESPACE_NAME_LABEL } from "../../src/models/k8s/namespace.ts";
import type { NetworkPolicy } from "../../src/models/k8s/network-policy.ts";
import type { Pod } from "../../src/models/k8s/pod.ts";
import type { Service } from "../../src/models/k8s/service.ts";
import type { ServiceCidr } from "../../src/models/k8s/service-cidr.ts";
import { EmbeddedClient } from "../../src/stores/embedded/client.ts";

/** Kubernetes namespace of all pods of a rig. */
export const BENCH_NAMESPACE = "bench";

/** An object and which kind it is of. */
export type ReflectedObject =
  | { readonly kind: "clusternetworkpolicy"; readonly object: ClusterNetworkPolicy }
  | { readonly kind: "endpointslice"; readonly object: EndpointSlice }
  | { readonly kind: "namespace"; readonly object: Namespace }
  | { readonly kind: "networkpolicy"; readonly object: NetworkPolicy }
  | { readonly kind: "pod"; readonly object: Pod }
  | { readonly kind: "service"; readonly object: Service }
  | { readonly kind: "servicecidr"; readonly object: ServiceCidr };

/**
 * What heddle-ksr would reflect of a rig's pods, in its agents' store. A runtime adds a pod a while after its object was
 * made, so they are written ahead of what is measured.
 */
export class PodObjects {
  readonly #store: EmbeddedClient;

  private constructor(store: EmbeddedClient) {
    this.#store = store;
  }

  static async open(socket: string): Promise<PodObjects> {
    const objects = new PodObjects(await EmbeddedClient.open({ socket }));
    const labels = { [NAMESPACE_NAME_LABEL]: BENCH_NAMESPACE };
    const namespace: Namespace = { namespace: "", name: BENCH_NAMESPACE, uid: "", labels };
    await objects.write([{ kind: "namespace", object: namespace }]);
    return objects;
  }

  async put(names: readonly string[], labels: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.write(names.map((name) => ({ kind: "pod", object: { ...podObject(name), labels } })));
  }

  /** Any objects, as heddle-ksr would reflect them. */
  async write(objects: readonly ReflectedObject[]): Promise<void> {
    await this.#store.bulk(objects.map((one) => ({ op: "put", key: keyOf(one), value: encoded(one) })));
  }

  async erase(objects: readonly ReflectedObject[]): Promise<void> {
    await this.#store.bulk(objects.map((one) => ({ op: "delete", key: keyOf(one) })));
  }

  async remove(names: readonly string[]): Promise<void> {
    await this.erase(names.map((name) => ({ kind: "pod", object: podObject(name) })));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** An object with the codec of its kind. */
function withCodec<T>(one: ReflectedObject, use: (codec: AnyCodec, object: never) => T): T {
  return use(K8S_CODECS[one.kind], one.object as never);
}
const keyOf = (one: ReflectedObject): string => withCodec(one, (codec, object) => codec.key(object));
const encoded = (one: ReflectedObject): Uint8Array => withCodec(one, (codec, object) => codec.encode(object));

interface AnyCodec {
  key(object: never): string;
  encode(object: never): Uint8Array;
}

const podObject = (name: string): Pod => ({
  namespace: BENCH_NAMESPACE,
  name,
  uid: "",
  created: 0,
  labels: {},
  hostNetwork: false,
  phase: "Pending",
  terminating: false,
  ips: [],
  ports: [],
});
