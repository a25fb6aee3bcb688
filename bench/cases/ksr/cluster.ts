import type { ApiObject } from "../../../test/support/k8s/fake-api-server.ts";
import { fullPod } from "./data.ts";

/** What there is beside the pods of {@link fullPod}: their namespaces, nodes, services, endpoints and policies. */
export function* clusterObjects(pods: number): Generator<readonly [plural: string, object: ApiObject]> {
  const [namespaces, nodes, services, policies] = [500, 500, 700, 1000];
  for (let i = 0; i < namespaces; i++) {
    yield ["namespaces", { metadata: { name: `team-${i}`, labels: { team: `t${i}`, stage: "production" } } }];
  }
  for (let i = 0; i < nodes; i++) {
    const metadata = {
      name: `node-${i}`,
      labels: { "kubernetes.io/hostname": `node-${i}`, "kubernetes.io/os": "linux" },
    };
    const addresses = [{ type: "InternalIP", address: `192.0.2.${i % 256}` }];
    yield ["nodes", { metadata, spec: { podCIDRs: [`10.${i >> 8}.${i & 255}.0/24`] }, status: { addresses } }];
  }
  const perService = Math.ceil(pods / services);
  for (let i = 0; i < services; i++) {
    const at = { name: `service-${i}`, namespace: `team-${i % namespaces}` };
    const port = { name: "http", port: 80, protocol: "TCP" };
    yield ["services", { metadata: at, spec: { clusterIPs: [`10.96.${i >> 8}.${i & 255}`], ports: [port] } }];
    // The endpoint slice controller's: a hundred a slice.
    for (let from = 0; from < perService; from += 100) {
      const labels = { "kubernetes.io/service-name": at.name };
      const endpoints = Array.from({ length: Math.min(100, perService - from) }, (_, e) => ({
        addresses: [`10.64.${i & 255}.${(from + e) & 255}`],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: `node-${e}`,
        zone: `zone-${e % 3}`,
      }));
      const metadata = { ...at, name: `${at.name}-${from}`, labels };
      yield ["endpointslices", { metadata, addressType: "IPv4", ports: [port], endpoints }];
    }
  }
  for (let i = 0; i < policies; i++) {
    const selector = { matchLabels: { app: `service-${i % services}` } };
    const from = [{ namespaceSelector: { matchLabels: { stage: "production" } }, podSelector: selector }];
    const spec = { podSelector: selector, policyTypes: ["Ingress"], ingress: [{ from, ports: [{ port: "http" }] }] };
    yield ["networkpolicies", { metadata: { name: `policy-${i}`, namespace: `team-${i % namespaces}` }, spec }];
  }
  for (let i = 0; i < pods; i++) yield ["pods", fullPod(i)];
}
