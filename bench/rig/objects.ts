import { K8S_CODECS } from "../../src/models/k8s/codecs.ts";
import type { Namespace } from "../../src/models/k8s/namespace.ts";
import { NAMESPACE_NAME_LABEL } from "../../src/models/k8s/namespace.ts";
import type { Pod } from "../../src/models/k8s/pod.ts";
import { EmbeddedClient } from "../../src/stores/embedded/client.ts";

/** Kubernetes namespace of all pods of a rig. */
export const BENCH_NAMESPACE = "bench";

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
    const { key, encode } = K8S_CODECS.namespace;
    await objects.#store.put(key(namespace), encode(namespace));
    return objects;
  }

  async put(names: readonly string[]): Promise<void> {
    const { key, encode } = K8S_CODECS.pod;
    const pods = names.map(podObject);
    await this.#store.bulk(pods.map((pod) => ({ op: "put", key: key(pod), value: encode(pod) })));
  }

  async remove(names: readonly string[]): Promise<void> {
    const { key } = K8S_CODECS.pod;
    await this.#store.bulk(names.map((name) => ({ op: "delete", key: key(podObject(name)) })));
  }

  close(): Promise<void> {
    return this.#store.close();
  }
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
