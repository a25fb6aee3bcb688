import { bytesOf, reflect } from "../../../src/ksr/convert/reflect.ts";
import type { ApiObject } from "../../../test/support/k8s/fake-api-server.ts";

/** How large a cluster's services are: a port each, cluster IPs, endpoints in one slice. IPv4. */
export interface ServiceScale {
  readonly services: number;
  readonly endpoints: number;
}

export const LARGE: ServiceScale = { services: 10_000, endpoints: 3 };

export const NODE = "n1";
export const NODE_IP = "192.168.0.1";
/** Of the pods of the node, and of all pods. */
export const POD_CIDR = "10.244.0.0/24";
export const CLUSTER_CIDR = "10.244.0.0/16";
const NAMESPACE = "bench";

/** Everything that a proxy asks the API server for, by the resource's plural name. */
export function* clusterOf({ services, endpoints }: ServiceScale): Generator<readonly [string, ApiObject]> {
  const cidr = { apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", spec: { cidrs: ["10.96.0.0/16"] } };
  yield ["servicecidrs", { ...cidr, metadata: { name: "kubernetes" } }];
  const status = { addresses: [{ type: "InternalIP", address: NODE_IP }] };
  const node = { apiVersion: "v1", kind: "Node", spec: { podCIDR: POD_CIDR, podCIDRs: [POD_CIDR] }, status };
  yield ["nodes", { ...node, metadata: { name: NODE, uid: "node" } }];
  for (let i = 0; i < services; i++) {
    yield ["services", serviceObject(i)];
    yield ["endpointslices", sliceObject(i, endpoints)];
  }
}

/** The service's cluster IP. */
export const clusterIp = (i: number): string => `10.96.${(i >> 8) + 1}.${i & 255}`;

export function serviceObject(i: number): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace: NAMESPACE, name: `s${i}`, uid: `service-${i}`, creationTimestamp: "2026-01-02T03:04:05Z" },
    spec: {
      type: "ClusterIP",
      clusterIP: clusterIp(i),
      clusterIPs: [clusterIp(i)],
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      internalTrafficPolicy: "Cluster",
      sessionAffinity: "None",
      ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: 8080 }],
    },
  };
}

/** Pods of other nodes, ready; with `endpoints` one more or less, one has come or gone. */
export function sliceObject(i: number, endpoints: number): ApiObject {
  const n = (e: number) => i * LARGE.endpoints + e;
  return sliceOf(
    i,
    Array.from({ length: endpoints }, (_, e) => `10.244.${1 + (n(e) % 200)}.${2 + (((i >> 4) + e) % 250)}`),
  );
}

export function sliceOf(i: number, addresses: readonly string[]): ApiObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      namespace: NAMESPACE,
      name: `s${i}-abcde`,
      uid: `slice-${i}`,
      labels: { "kubernetes.io/service-name": `s${i}` },
    },
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    endpoints: addresses.map((address, e) => ({
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(i + e) % 91}`,
    })),
  };
}

/** What heddle-ksr makes of an object. @throws if it makes nothing of it */
export function stored(object: ApiObject): readonly [key: string, value: Uint8Array] {
  const conversion = reflect(object);
  if (conversion.is !== "wish" || conversion.problem !== undefined) throw new Error(JSON.stringify(conversion));
  return [conversion.wish.key, bytesOf(conversion.wish.value)];
}

/** One endpoint more, and after a while one less: the slices that change, one after the other. */
export function* changes(count: number): Generator<ApiObject> {
  for (let n = 0; n < count; n++) yield sliceObject((n >> 1) * 7, LARGE.endpoints + 1 - (n % 2));
}

/** What a side's process prints when it is done. Milliseconds. */
export interface Side {
  readonly empty: number;
  readonly changes: readonly number[];
  readonly wrong: readonly string[];
}

/** From one change to the next: more than kube-proxy's default minSyncPeriod of 1 s, so that it never waits for that. */
export const SPACING_MS = 1100;
