import { type PolicyScale, podNumber } from "../data.ts";

/** What both sides read: Kubernetes' objects as JSON, and what becomes of some of the pods, in this order. */
export interface ComparedData {
  /** Pods with these addresses are on this node, all others on others. */
  readonly podCIDR: string;
  readonly objects: readonly KubeObject[];
  readonly changes: readonly PodChange[];
}

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: "Namespace" | "NetworkPolicy" | "Pod";
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly labels?: Labels };
  readonly spec?: object;
  readonly status?: object;
}

export const CHANGES = ["relabelled", "removed", "added"] as const;
export type ChangeName = (typeof CHANGES)[number];

/** Without `before` the pod is new, without `after` it is gone. */
export interface PodChange {
  readonly case: ChangeName;
  readonly before?: KubeObject;
  readonly after?: KubeObject;
}

/** Whom all pods of a namespace may ask for names: what the rule of port 53 says. */
export type NameServers = "all pods" | "anybody";

export interface ComparedScale extends PolicyScale {
  readonly nameServers: NameServers;
  /** How often a pod gets other labels and its own back, is removed and added. */
  readonly rounds: number;
}

type Labels = Readonly<Record<string, string>>;

const POD_CIDR = "10.0.0.0/24";
/** Every policy is of the first, the second, … of these kinds in turn. */
const KINDS = 5;

/**
 * The cluster of the other figures in what the original understands: NetworkPolicies, IPv4, one selector a peer, ports by
 * number. Each policy is about one direction, since with both the original misses changes of peers.
 */
export function comparedData(scale: ComparedScale): ComparedData {
  const { namespaces, pods, policies } = scale;
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i);
  return {
    podCIDR: POD_CIDR,
    objects: [
      ...numbers(namespaces).map(namespaceObject),
      ...numbers(pods).map((i) => podObject(i, scale)),
      ...numbers(policies).map((i) => policyObject(i, scale)),
    ],
    changes: numbers(scale.rounds).flatMap((round) => changesOf(round, scale)),
  };
}

/** Of a pod that rules of a local pod are about, so that labels that change are rules that change. */
function changesOf(round: number, scale: ComparedScale): PodChange[] {
  const kind = round % 2 === 0 ? 2 : 3; // in whose namespaces tier and version decide
  const namespace = KINDS * (round % Math.floor(Math.min(scale.locals, scale.namespaces) / KINDS)) + kind;
  const i = namespace + scale.namespaces * (1 + (round % (scale.pods / scale.namespaces - 1)));
  const tier = podNumber(i, scale.namespaces).labels["tier"] === "data" ? "front" : "data";
  const usual = podObject(i, scale);
  const relabelled = podObject(i, scale, { tier, version: `v${(i + 1) % 5}` });
  return [
    { case: "relabelled", before: usual, after: relabelled },
    { case: "relabelled", before: relabelled, after: usual },
    { case: "removed", before: usual },
    { case: "added", after: usual },
  ];
}

function namespaceObject(i: number): KubeObject {
  const name = `ns-${i}`;
  const labels = { "kubernetes.io/metadata.name": name, team: `team-${i % 20}` };
  return { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } };
}

function podObject(i: number, { namespaces, locals }: PolicyScale, labels: Labels = {}): KubeObject {
  const pod = podNumber(i, namespaces, labels);
  const n = i < locals ? i + 1 : i + 256; // the first /24 is this node's
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: pod.namespace, name: pod.name, labels: pod.labels },
    spec: { nodeName: pod.node },
    status: { phase: pod.phase, podIP: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}` },
  };
}

function policyObject(i: number, { namespaces, nameServers }: ComparedScale): KubeObject {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { namespace: `ns-${i % namespaces}`, name: `policy-${i}` },
    spec: policySpec(i, namespaces, nameServers),
  };
}

function policySpec(i: number, namespaces: number, nameServers: NameServers): object {
  const byLabels = (matchLabels: Labels) => ({ matchLabels });
  const tcp = (port: number) => ({ protocol: "TCP", port });
  switch (i % KINDS) {
    case 0:
      return { podSelector: {}, policyTypes: ["Ingress"] };
    case 1: {
      const from = [{ podSelector: byLabels({ app: `app-${i % 20}` }) }, { podSelector: {} }];
      return { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from, ports: [tcp(8080), tcp(443)] }] };
    }
    case 2: {
      const other = byLabels({ "kubernetes.io/metadata.name": `ns-${(i * 7) % namespaces}` });
      const own = { matchExpressions: [{ key: "tier", operator: "In", values: ["front", "back"] }] };
      const from = [{ namespaceSelector: other }, { podSelector: own }];
      return { podSelector: {}, policyTypes: ["Ingress"], ingress: [{ from, ports: [tcp(9090)] }] };
    }
    case 3: {
      const outside = { ipBlock: { cidr: "0.0.0.0/0", except: ["10.0.0.0/8", "169.254.0.0/16"] } };
      const names = nameServers === "all pods" ? { to: [{ namespaceSelector: {} }] } : {};
      const egress = [
        { to: [outside] },
        { to: [{ podSelector: byLabels({ version: `v${i % 5}` }) }] },
        { ...names, ports: [{ protocol: "UDP", port: 53 }] },
      ];
      return { podSelector: {}, policyTypes: ["Egress"], egress };
    }
    default: {
      const to = [{ namespaceSelector: byLabels({ team: `team-${i % 20}` }) }];
      return { podSelector: byLabels({ tier: "back" }), policyTypes: ["Egress"], egress: [{ to, ports: [tcp(8080)] }] };
    }
  }
}
