import * as fc from "fast-check";
import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPorts,
  ClusterProtocol,
  ClusterRule,
} from "../../../src/models/k8s/cluster-network-policy.ts";
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from "../../../src/models/k8s/network-policy.ts";
import type { LabelRequirement, LabelSelector } from "../../../src/models/k8s/selector.ts";

// Policies over an alphabet that is small enough for selectors, addresses and ports to meet; now and then invalid ones.

export const KEYS = ["app", "tier", "env"] as const;
export const VALUES = ["a", "b", ""] as const;
export const PORTS = [0, 80, 81, 8080] as const;
export const PORT_NAMES = ["http", "dns"] as const;
export const NAMESPACES = ["x", "y", "z"] as const;
export const CLUSTER_POLICY_NAMES = ["c1", "c2", "c3"] as const;
export const POLICY_NAMES = ["p1", "p2", "p3"] as const;

/** Something valid mostly, something invalid sometimes. */
const rarely = <T>(valid: fc.Arbitrary<T>, invalid: fc.Arbitrary<T>, weight = 30): fc.Arbitrary<T> =>
  fc.oneof({ weight, arbitrary: valid }, { weight: 1, arbitrary: invalid });
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });
const unknown = (weight = 120): fc.Arbitrary<readonly string[] | undefined> =>
  rarely<readonly string[] | undefined>(fc.constant(undefined), fc.constant(["future"]), weight);

export const labels: fc.Arbitrary<Record<string, string>> = fc.dictionary(
  fc.constantFrom(...KEYS),
  fc.constantFrom(...VALUES),
  { noNullPrototype: true, maxKeys: 3 },
);

const requirement: fc.Arbitrary<LabelRequirement> = rarely<LabelRequirement>(
  fc.oneof(
    fc.record({
      key: fc.constantFrom(...KEYS),
      operator: fc.constantFrom("In", "NotIn"),
      values: fc.uniqueArray(fc.constantFrom(...VALUES), { minLength: 1 }),
    }),
    fc.record({ key: fc.constantFrom(...KEYS), operator: fc.constantFrom("Exists", "DoesNotExist") }),
  ),
  fc.constantFrom<LabelRequirement>(
    { key: "app", operator: "in", values: ["a"] },
    { key: "app", operator: "In" },
    { key: "app", operator: "Exists", values: ["a"] },
    { key: "!", operator: "Exists" },
    { key: "app", operator: "NotIn", values: ["a b"] },
    { key: "app", operator: "Exists", unknown: ["future"] },
  ),
);

export const selector: fc.Arbitrary<LabelSelector> = fc.record({
  matchLabels: maybe(
    fc.dictionary(fc.constantFrom(...KEYS), fc.constantFrom(...VALUES), { noNullPrototype: true, maxKeys: 2 }),
  ),
  matchExpressions: maybe(fc.array(requirement, { maxLength: 2 })),
  unknown: unknown(),
});

const cidr = rarely(
  fc.constantFrom(
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.0.0.0/29",
    "10.0.0.3/30",
    "10.0.0.2/32",
    "10.0.0.4/31",
    "192.0.2.0/24",
    "fd00::/64",
    "fd00::2/127",
    "fd00::4/128",
  ),
  fc.constantFrom("10.0.0.0/33", "10.0.0.0", "x/8", "::ffff:10.0.0.0/104", "010.0.0.0/8", "10.0.0.0/08", ""),
);

const peer: fc.Arbitrary<NetworkPolicyPeer> = rarely<NetworkPolicyPeer>(
  fc.oneof(
    fc.record({ podSelector: selector }),
    fc.record({ namespaceSelector: selector }),
    fc.record({ namespaceSelector: selector, podSelector: selector }),
    fc.record({
      ipBlock: fc.record({ cidr, except: maybe(fc.array(cidr, { maxLength: 2 })), unknown: unknown() }),
    }),
  ),
  fc.record({ podSelector: maybe(selector), ipBlock: maybe(fc.record({ cidr })), unknown: unknown(2) }),
);

const number = rarely(fc.constantFrom(80, 81, 8080, 1, 65_535), fc.constantFrom(0, -1, 65_536, 1.5));
const portName = rarely<string>(fc.constantFrom(...PORT_NAMES), fc.constantFrom("", "HTTP", "a-name-that-is-too-long"));

const port: fc.Arbitrary<NetworkPolicyPort> = fc.record({
  protocol: maybe(rarely<string>(fc.constantFrom("TCP", "UDP", "SCTP"), fc.constantFrom("tcp", "ICMP", ""))),
  port: maybe(fc.oneof<fc.Arbitrary<number | string>[]>(number, portName)),
  endPort: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: number }),
  unknown: unknown(),
});

const rule: fc.Arbitrary<NetworkPolicyRule> = fc.record({
  peers: maybe(fc.array(peer, { maxLength: 3 })),
  ports: maybe(fc.array(port, { maxLength: 3 })),
  unknown: unknown(),
});

export const networkPolicy = (namespace: string, name: string): fc.Arbitrary<NetworkPolicy> =>
  fc.record({
    namespace: fc.constant(namespace),
    name: fc.constant(name),
    uid: fc.constant(""),
    podSelector: selector,
    policyTypes: maybe(
      fc.uniqueArray(rarely<string>(fc.constantFrom("Ingress", "Egress"), fc.constant("ingress")), { maxLength: 2 }),
    ),
    ingress: maybe(fc.array(rule, { maxLength: 3 })),
    egress: maybe(fc.array(rule, { maxLength: 3 })),
    unknown: unknown(200),
  });

const namespacedPods = fc.record({ namespaceSelector: selector, podSelector: selector, unknown: unknown(200) });
const subjectLike = rarely<Omit<ClusterPeer, "networks">>(
  fc.oneof(fc.record({ namespaces: selector }), fc.record({ pods: namespacedPods })),
  fc.record({ namespaces: maybe(selector), pods: maybe(namespacedPods), unknown: unknown(2) }),
  80,
);
const clusterPeer: fc.Arbitrary<ClusterPeer> = fc.oneof(
  { weight: 6, arbitrary: subjectLike },
  { weight: 1, arbitrary: fc.record({ networks: fc.array(cidr, { maxLength: 3 }) }) },
);

const clusterPorts: fc.Arbitrary<ClusterPorts> = fc.oneof(
  fc.record({ number }),
  fc.record({
    range: fc.record({ start: fc.constantFrom(1, 80), end: rarely(fc.constantFrom(80, 81, 9000), fc.constant(0)) }),
  }),
  rarely<ClusterPorts>(fc.record({ number }), fc.record({ unknown: unknown(1) }), 40),
);
const protocol: fc.Arbitrary<ClusterProtocol> = rarely<ClusterProtocol>(
  fc.oneof(
    fc.record({ tcp: clusterPorts }),
    fc.record({ udp: clusterPorts }),
    fc.record({ sctp: clusterPorts }),
    fc.record({ destinationNamedPort: fc.constantFrom(...PORT_NAMES) }),
  ),
  fc.record({
    tcp: maybe(clusterPorts),
    destinationNamedPort: maybe(fc.constantFrom("", "http")),
    unknown: unknown(2),
  }),
  80,
);

const clusterRule: fc.Arbitrary<ClusterRule> = fc.record({
  name: maybe(fc.constant("named")),
  action: rarely<string>(fc.constantFrom("Accept", "Deny", "Pass"), fc.constantFrom("Allow", ""), 80),
  peers: rarely<readonly ClusterPeer[]>(fc.array(clusterPeer, { minLength: 1, maxLength: 2 }), fc.constant([]), 80),
  protocols: maybe(
    rarely<readonly ClusterProtocol[]>(fc.array(protocol, { minLength: 1, maxLength: 2 }), fc.constant([]), 80),
  ),
  unknown: unknown(200),
});

export const clusterNetworkPolicy = (name: string): fc.Arbitrary<ClusterNetworkPolicy> =>
  fc.record({
    namespace: fc.constant("" as const),
    name: fc.constant(name),
    uid: fc.constant(""),
    tier: rarely<string>(fc.constantFrom("Admin", "Baseline"), fc.constant("admin"), 80),
    priority: rarely(fc.constantFrom(0, 10, 1000), fc.constantFrom(-1, 1001, 0.5), 80),
    subject: subjectLike,
    ingress: maybe(fc.array(clusterRule, { maxLength: 3 })),
    egress: maybe(fc.array(clusterRule, { maxLength: 3 })),
    unknown: unknown(200),
  });
