import type { ApiObject } from "./fake-api-server.ts";

// Objects that a real API server takes.

export const realNamespace = (name: string, labels: Record<string, string> = {}): ApiObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, labels },
});

export const realPod = (namespace: string, name: string, labels: Record<string, string> = {}): ApiObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace, name, labels },
  spec: { containers: [{ name: "c", image: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
});

export const realService = (namespace: string, name: string): ApiObject => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace, name },
  spec: {
    selector: { app: name },
    ports: [{ name: "http", port: 80, targetPort: "http" }],
    ipFamilyPolicy: "PreferDualStack",
  },
});

export const realSlice = (namespace: string, service: string, address: string): ApiObject => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { namespace, name: `${service}-1`, labels: { "kubernetes.io/service-name": service } },
  addressType: "IPv4",
  ports: [{ name: "http", port: 8080, protocol: "TCP" }],
  endpoints: [{ addresses: [address], conditions: { ready: true }, nodeName: "n1", zone: "z" }],
});

export const realPolicy = (namespace: string, name: string): ApiObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { namespace, name },
  spec: {
    podSelector: { matchLabels: { app: "web" } },
    ingress: [
      {
        from: [{ namespaceSelector: {} }, { ipBlock: { cidr: "10.0.0.0/8", except: ["10.1.0.0/16"] } }],
        ports: [{ port: "http" }, { port: 8000, endPort: 8010, protocol: "UDP" }],
      },
    ],
  },
});

export const realNode = (name: string): ApiObject => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name },
  spec: { podCIDRs: ["10.244.0.0/24"], podCIDR: "10.244.0.0/24" },
});

export const realServiceCidr = (name: string, ...cidrs: string[]): ApiObject => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "ServiceCIDR",
  metadata: { name },
  spec: { cidrs },
});

export const clusterPolicy = (name: string): ApiObject => ({
  apiVersion: "policy.networking.k8s.io/v1alpha2",
  kind: "ClusterNetworkPolicy",
  metadata: { name },
  spec: {
    tier: "Admin",
    priority: 10,
    subject: { namespaces: {} },
    ingress: [{ action: "Deny", from: [{ namespaces: { matchLabels: { a: "b" } } }] }],
  },
});

/** Takes any spec: what is in the objects is not what is tested with it. */
export const clusterPolicyDefinition: ApiObject = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: {
    name: "clusternetworkpolicies.policy.networking.k8s.io",
    annotations: { "api-approved.kubernetes.io": "unapproved, for a test" },
  },
  spec: {
    group: "policy.networking.k8s.io",
    scope: "Cluster",
    names: {
      kind: "ClusterNetworkPolicy",
      listKind: "ClusterNetworkPolicyList",
      plural: "clusternetworkpolicies",
      singular: "clusternetworkpolicy",
    },
    versions: [
      {
        name: "v1alpha2",
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
          },
        },
      },
    ],
  },
};
