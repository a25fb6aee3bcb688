import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPorts,
  ClusterProtocol,
  ClusterRule,
  ClusterSubject,
  NamespacedPods,
} from "../../models/k8s/cluster-network-policy.ts";
import type {
  IpBlock,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from "../../models/k8s/network-policy.ts";
import type { LabelRequirement, LabelSelector } from "../../models/k8s/selector.ts";
import {
  asListOf,
  asMappingOf,
  asNumber,
  asNumberOrText,
  asStringMap,
  asText,
  asTexts,
  clusterMetaOf,
  Members,
  mapping,
  metaOf,
  present,
} from "./members.ts";

// Nothing is judged here: what is invalid is kept as it is, what is not known is named.

const requirement = (m: Members): LabelRequirement =>
  present({
    key: m.get("key", asText) ?? "",
    operator: m.get("operator", asText) ?? "",
    values: m.get("values", asTexts),
    ...m.unknown(),
  });

const selector = (m: Members): LabelSelector =>
  present({
    matchLabels: m.get("matchLabels", asStringMap),
    matchExpressions: m.get("matchExpressions", asListOf(requirement)),
    ...m.unknown(),
  });

const asSelector = asMappingOf(selector);

const ipBlock = (m: Members): IpBlock =>
  present({ cidr: m.get("cidr", asText) ?? "", except: m.get("except", asTexts), ...m.unknown() });

const peer = (m: Members): NetworkPolicyPeer =>
  present({
    podSelector: m.get("podSelector", asSelector),
    namespaceSelector: m.get("namespaceSelector", asSelector),
    ipBlock: m.get("ipBlock", asMappingOf(ipBlock)),
    ...m.unknown(),
  });

const port = (m: Members): NetworkPolicyPort =>
  present({
    protocol: m.get("protocol", asText),
    port: m.get("port", asNumberOrText),
    endPort: m.get("endPort", asNumber),
    ...m.unknown(),
  });

const rule =
  (side: "from" | "to") =>
  (m: Members): NetworkPolicyRule =>
    present({ peers: m.get(side, asListOf(peer)), ports: m.get("ports", asListOf(port)), ...m.unknown() });

/** networking.k8s.io/v1 NetworkPolicy. Throws {@link ConvertError} without a name. */
export function toNetworkPolicy(object: unknown): NetworkPolicy {
  const { namespace, name, uid } = metaOf(object);
  const m = new Members(mapping(object)["spec"]);
  return present({
    namespace,
    name,
    uid,
    podSelector: m.get("podSelector", asSelector) ?? {},
    policyTypes: m.get("policyTypes", asTexts),
    ingress: m.get("ingress", asListOf(rule("from"))),
    egress: m.get("egress", asListOf(rule("to"))),
    ...m.unknown(),
  });
}

/** The podSelector is required: without it, or with one of a wrong type, it can't be told which pods are meant. */
const namespacedPods = (m: Members): NamespacedPods => {
  const namespaceSelector = m.get("namespaceSelector", asSelector) ?? {};
  const podSelector = m.get("podSelector", asSelector);
  const { unknown = [] } = m.unknown();
  const wrong = podSelector ? unknown : [...new Set([...unknown, "podSelector"])].sort();
  return present({
    namespaceSelector,
    podSelector: podSelector ?? {},
    unknown: wrong.length > 0 ? wrong : undefined,
  });
};

const subject = (m: Members): ClusterSubject =>
  present({
    namespaces: m.get("namespaces", asSelector),
    pods: m.get("pods", asMappingOf(namespacedPods)),
    ...m.unknown(),
  });

const ingressPeer = subject;
const egressPeer = (m: Members): ClusterPeer => present({ networks: m.get("networks", asTexts), ...subject(m) });

const asPortRange = (v: unknown): { start: number; end: number } | undefined => {
  const m = new Members(v);
  const [start, end] = [m.get("start", asNumber), m.get("end", asNumber)];
  return start === undefined || end === undefined || m.unknown().unknown ? undefined : { start, end };
};

const destinationPort = (m: Members): ClusterPorts =>
  present({ number: m.get("number", asNumber), range: m.get("range", asPortRange), ...m.unknown() });

const ports = (m: Members): ClusterPorts => {
  const found = m.get("destinationPort", asMappingOf(destinationPort));
  const unknown = [...(found?.unknown ?? []), ...(m.unknown().unknown ?? [])];
  return { ...found, ...(unknown.length > 0 ? { unknown } : {}) };
};

const protocol = (m: Members): ClusterProtocol =>
  present({
    tcp: m.get("tcp", asMappingOf(ports)),
    udp: m.get("udp", asMappingOf(ports)),
    sctp: m.get("sctp", asMappingOf(ports)),
    destinationNamedPort: m.get("destinationNamedPort", asText),
    ...m.unknown(),
  });

const clusterRule =
  (side: "from" | "to") =>
  (m: Members): ClusterRule =>
    present({
      name: m.get("name", asText),
      action: m.get("action", asText) ?? "",
      peers: m.get(side, asListOf<ClusterPeer>(side === "from" ? ingressPeer : egressPeer)) ?? [],
      protocols: m.get("protocols", asListOf(protocol)),
      ...m.unknown(),
    });

/** policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy. Throws {@link ConvertError} without a name. */
export function toClusterNetworkPolicy(object: unknown): ClusterNetworkPolicy {
  const { namespace, name, uid } = clusterMetaOf(object);
  const m = new Members(mapping(object)["spec"]);
  return present({
    namespace,
    name,
    uid,
    tier: m.get("tier", asText) ?? "",
    priority: m.get("priority", asNumber) ?? -1,
    subject: m.get("subject", asMappingOf(subject)) ?? {},
    ingress: m.get("ingress", asListOf(clusterRule("from"))),
    egress: m.get("egress", asListOf(clusterRule("to"))),
    ...m.unknown(),
  });
}
