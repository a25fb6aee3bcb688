import type {
  ClusterNetworkPolicy,
  ClusterPeer,
  ClusterPorts,
  ClusterProtocol,
  ClusterRule,
  ClusterSubject,
} from "../../../src/models/k8s/cluster-network-policy.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";
import { isInside, networkBits } from "./addresses.ts";
import { podAt } from "./pods.ts";
import { selectorIsValid, selectorMatches } from "./selectors.ts";
import type { OraclePacket, OracleState } from "./state.ts";

// policy.networking.k8s.io/v1alpha2, sentence by sentence (network-policy-api, apis/v1alpha2/clusternetworkpolicy_types.go).

const clean = (o: { readonly unknown?: readonly string[] | undefined }): boolean => (o.unknown ?? []).length === 0;

/** What the tier decides; "next" if it does not. */
export function judgeByTier(
  state: OracleState,
  tier: "Admin" | "Baseline",
  pod: Pod,
  packet: OraclePacket,
): "allowed" | "denied" | "next" {
  const all = [...state.clusterPolicies].sort(([a], [b]) => (a < b ? -1 : 1));
  // What can't be understood comes first, with every rule failing closed.
  if (tier === "Admin") {
    for (const [, policy] of all) {
      if (policy === "unreadable") return "denied";
      if (isUnderstood(policy)) continue;
      if (subjectIsValid(policy.subject) && !subjectMatches(state, policy.subject, pod)) continue;
      if ((policy[packet.direction] ?? []).some((r) => r.action !== "Accept")) return "denied";
    }
  }
  // "Policies with lower priority values have higher precedence"; equal ones by name.
  const valid = all
    .map(([, p]) => p)
    .filter((p) => p !== "unreadable")
    .filter((p) => isUnderstood(p) && p.tier === tier)
    .sort((a, b) => a.priority - b.priority);
  for (const policy of valid) {
    if (!subjectMatches(state, policy.subject, pod)) continue;
    // "a rule that appears at the top of the ingress rules would take the highest precedence"
    for (const rule of policy[packet.direction] ?? []) {
      const closed = !ruleIsValid(rule, packet.direction);
      if (closed) {
        // "For "Accept" rules, "fail closed" means: "treat the rule as matching no traffic". For "Deny" and "Pass" rules, "fail
        // closed" means: "treat the rule as a 'Deny all' rule"."
        if (rule.action === "Accept") continue;
        return "denied";
      }
      if (!rule.peers.some((p) => peerMatches(state, p, packet.peer))) continue;
      const target = packet.direction === "ingress" ? pod : podAt(state, packet.peer);
      if (rule.protocols && !rule.protocols.some((p) => protocolMatches(p, target, packet))) continue;
      if (rule.action === "Pass") return "next"; // "Skips all further ClusterNetworkPolicy rules in the current tier"
      return rule.action === "Accept" ? "allowed" : "denied";
    }
  }
  return "next";
}

function isUnderstood(p: ClusterNetworkPolicy): boolean {
  const placed =
    (p.tier === "Admin" || p.tier === "Baseline") && [p.priority].every((n) => n % 1 === 0 && n >= 0 && n <= 1000);
  return clean(p) && placed && subjectIsValid(p.subject);
}

function subjectIsValid(s: ClusterSubject): boolean {
  if (!clean(s)) return false;
  const { namespaces, pods } = s;
  if (namespaces && pods) return false;
  if (namespaces) return selectorIsValid(namespaces);
  return !!pods && clean(pods) && selectorIsValid(pods.namespaceSelector) && selectorIsValid(pods.podSelector);
}

/** "Note that host-networked pods are not included in subject selection", nor in peers. */
function subjectMatches(state: OracleState, s: ClusterSubject, pod: Pod): boolean {
  const namespace = state.namespaces.get(pod.namespace);
  if (namespace === undefined || namespace === "unreadable" || pod.hostNetwork) return false;
  if (s.namespaces) return selectorMatches(s.namespaces, namespace.labels);
  return (
    !!s.pods &&
    selectorMatches(s.pods.namespaceSelector, namespace.labels) &&
    selectorMatches(s.pods.podSelector, pod.labels)
  );
}

function ruleIsValid(rule: ClusterRule, direction: "egress" | "ingress"): boolean {
  if (!clean(rule) || !["Accept", "Deny", "Pass"].includes(rule.action) || rule.peers.length === 0) return false;
  if (!rule.peers.every((p) => peerIsValid(p, direction))) return false;
  if (!rule.protocols) return true;
  if (rule.protocols.length === 0 || !rule.protocols.every(protocolIsValid)) return false;
  // "You can't use this in a rule that targets resources without named ports (e.g. Nodes or Networks)."
  const named = rule.protocols.some((p) => p.destinationNamedPort !== undefined);
  return !(named && rule.peers.some((p) => p.networks));
}

function peerIsValid(peer: ClusterPeer, direction: "egress" | "ingress"): boolean {
  if (!clean(peer)) return false;
  if (!peer.networks) return subjectIsValid(peer);
  if (direction === "ingress" || peer.namespaces || peer.pods || peer.networks.length === 0) return false;
  return peer.networks.every((n) => networkBits(n) !== undefined);
}

function peerMatches(state: OracleState, peer: ClusterPeer, address: string): boolean {
  if (peer.networks) return peer.networks.some((n) => isInside(address, n));
  const pod = podAt(state, address);
  return pod !== undefined && subjectMatches(state, peer, pod);
}

const validPort = (n: number): boolean => n % 1 === 0 && n >= 1 && n <= 65_535;

function protocolIsValid(p: ClusterProtocol): boolean {
  const members = [p.tcp, p.udp, p.sctp, p.destinationNamedPort].filter((m) => m !== undefined);
  if (!clean(p) || members.length !== 1) return false;
  if (p.destinationNamedPort !== undefined) return p.destinationNamedPort !== "";
  const ports = (p.tcp ?? p.udp ?? p.sctp) as ClusterPorts;
  if (!clean(ports) || (ports.number === undefined) === (ports.range === undefined)) return false;
  if (ports.number !== undefined) return validPort(ports.number);
  const { start, end } = ports.range ?? { start: 0, end: 0 };
  return validPort(start) && validPort(end) && start <= end;
}

function protocolMatches(p: ClusterProtocol, target: Pod | undefined, packet: OraclePacket): boolean {
  if (p.destinationNamedPort !== undefined) {
    return (target?.ports ?? []).some(
      (c) => c.name === p.destinationNamedPort && c.protocol === packet.protocol && c.port === packet.port,
    );
  }
  const ports = { TCP: p.tcp, UDP: p.udp, SCTP: p.sctp, ICMP: undefined }[packet.protocol];
  if (!ports) return false;
  if (ports.number !== undefined) return ports.number === packet.port;
  return ports.range !== undefined && ports.range.start <= packet.port && packet.port <= ports.range.end;
}
