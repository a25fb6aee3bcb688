import { parseIp } from "../../../src/base/ip/address.ts";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";
import type { PolicyInput } from "../../../src/policy/api.ts";

/** How large the cluster is. */
export interface PolicyScale {
  readonly pods: number;
  readonly namespaces: number;
  readonly policies: number;
  readonly locals: number;
}

const APPS = 20;

/** Pod number `i` of the cluster; dual stack, six labels. */
export function podNumber(i: number, namespaces: number, labels: Readonly<Record<string, string>> = {}): Pod {
  const ns = i % namespaces;
  return {
    namespace: `ns-${ns}`,
    name: `pod-${i}`,
    uid: `uid-${i}`,
    created: i,
    labels: {
      app: `app-${Math.floor(i / namespaces) % APPS}`,
      "app.kubernetes.io/instance": `instance-${i % 97}`,
      "app.kubernetes.io/name": `name-${i % 31}`,
      "pod-template-hash": `${(i * 7919) % 4096}`,
      tier: ["front", "back", "data"][i % 3] ?? "front",
      version: `v${i % 5}`,
      ...labels,
    },
    node: `node-${i % 91}`,
    hostNetwork: false,
    phase: "Running",
    terminating: false,
    ips: [parseIp(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`), parseIp(`fd00::1:${i.toString(16)}`)],
    ports: [
      { name: "http", protocol: "TCP", port: 8080 + (i % 3) },
      { name: "metrics", protocol: "TCP", port: 9090 },
    ],
  };
}

/** The mix that clusters have: defaults, application to application, monitoring, the outside, names of ports. */
function policyNumber(i: number, namespaces: number): NetworkPolicy {
  const base = { namespace: `ns-${i % namespaces}`, name: `policy-${i}`, uid: "" };
  const app = (n: number) => ({ matchLabels: { app: `app-${n % APPS}` } });
  switch (i % 5) {
    case 0:
      return { ...base, podSelector: {}, policyTypes: ["Ingress"] };
    case 1:
      return {
        ...base,
        podSelector: {},
        ingress: [{ peers: [{ podSelector: app(i) }, { podSelector: {} }], ports: [{ port: "http" }, { port: 443 }] }],
      };
    case 2:
      return {
        ...base,
        podSelector: {},
        ingress: [
          {
            peers: [
              {
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": `ns-${(i * 7) % namespaces}` } },
                podSelector: { matchExpressions: [{ key: "tier", operator: "In", values: ["front", "back"] }] },
              },
            ],
            ports: [{ port: 9090 }],
          },
        ],
      };
    case 3:
      return {
        ...base,
        podSelector: {},
        policyTypes: ["Egress"],
        egress: [
          { peers: [{ ipBlock: { cidr: "0.0.0.0/0", except: ["10.0.0.0/8", "169.254.0.0/16"] } }] },
          { peers: [{ namespaceSelector: {}, podSelector: { matchLabels: { version: `v${i % 5}` } } }] },
          { peers: [{ namespaceSelector: {} }], ports: [{ protocol: "UDP", port: 53 }] },
        ],
      };
    default:
      return {
        ...base,
        podSelector: { matchLabels: { tier: "back" } },
        egress: [
          { peers: [{ namespaceSelector: { matchLabels: { team: `team-${i % 20}` } } }], ports: [{ port: "http" }] },
        ],
      };
  }
}

/** The whole cluster as one event. */
export function clusterInputs({ pods, namespaces, policies, locals }: PolicyScale): PolicyInput[] {
  const out: PolicyInput[] = [];
  for (let i = 0; i < namespaces; i++) {
    const name = `ns-${i}`;
    const labels = { "kubernetes.io/metadata.name": name, team: `team-${i % 20}` };
    out.push({
      kind: "namespace",
      at: { namespace: "", name },
      object: { namespace: "", name, uid: "", labels },
    });
  }
  for (let i = 0; i < pods; i++) {
    const object = podNumber(i, namespaces);
    out.push({ kind: "pod", at: object, object });
    if (i < locals) {
      const { namespace, name, uid, ips } = object;
      out.push({ kind: "local", id: `local-${i}`, object: { id: `local-${i}`, namespace, name, uid, ips } });
    }
  }
  for (let i = 0; i < policies; i++) {
    const object = policyNumber(i, namespaces);
    out.push({ kind: "networkpolicy", at: object, object });
  }
  out.push({
    kind: "clusternetworkpolicy",
    at: { namespace: "", name: "monitoring" },
    object: {
      namespace: "",
      name: "monitoring",
      uid: "",
      tier: "Admin",
      priority: 10,
      subject: { namespaces: {} },
      ingress: [
        {
          action: "Accept",
          peers: [{ namespaces: { matchLabels: { team: "team-1" } } }],
          protocols: [{ destinationNamedPort: "metrics" }],
        },
      ],
    },
  });
  return out;
}
