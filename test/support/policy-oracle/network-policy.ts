import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicyRule,
} from "../../../src/models/k8s/network-policy.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";
import { isInside, networkBits } from "./addresses.ts";
import { podAt } from "./pods.ts";
import { selectorIsValid, selectorMatches } from "./selectors.ts";
import type { OraclePacket, OracleState } from "./state.ts";

// networking.k8s.io/v1, sentence by sentence (k8s.io/api/networking/v1/types.go). Invalid parts allow nothing.

const clean = (o: { readonly unknown?: readonly string[] | undefined }): boolean => (o.unknown ?? []).length === 0;

/** Whether pod and direction are isolated by NetworkPolicies, and if so, whether one of them allows the packet. */
export function judgeByNetworkPolicies(
  state: OracleState,
  pod: Pod,
  packet: OraclePacket,
): "allowed" | "denied" | "not isolated" {
  let isolated = false;
  for (const [key, policy] of state.networkPolicies) {
    if (key.split("/")[0] !== pod.namespace || pod.hostNetwork) continue;
    if (policy === "unreadable") {
      isolated = true;
      continue;
    }
    // "podSelector selects the pods to which this NetworkPolicy object applies. […] An empty podSelector matches all pods in
    // this namespace." One that can't be understood may mean any of them.
    const selectorValid = selectorIsValid(policy.podSelector);
    if (selectorValid && !selectorMatches(policy.podSelector, pod.labels)) continue;
    const closed = !selectorValid || !clean(policy);
    const { affects, guess } = affected(policy, packet.direction);
    if (!affects && !guess && !closed) continue;
    isolated = true;
    if (closed || !affects) continue;
    // "Traffic is allowed to a pod if there are no NetworkPolicies selecting the pod (and cluster policy otherwise allows the
    // traffic), OR if the traffic source is the pod's local node, OR if the traffic matches at least one ingress rule across
    // all of the NetworkPolicy objects whose podSelector matches the pod. If this field is empty then this NetworkPolicy does
    // not allow any traffic."
    for (const rule of policy[packet.direction] ?? []) {
      if (ruleMatches(state, rule, pod, packet)) return "allowed";
    }
  }
  if (!isolated) return "not isolated";
  // "traffic to and from the node where a Pod is running is always allowed" (concepts/services-networking/network-policies)
  const own = state.nodes.get(state.node)?.addresses ?? [];
  return own.some((a) => a === packet.peer) ? "allowed" : "denied";
}

/**
 * "If this field is not specified, it will default based on the existence of ingress or egress rules; policies that contain an
 * egress section are assumed to affect egress, and all policies (whether or not they contain an ingress section) are assumed to
 * affect ingress."
 */
function affected(policy: NetworkPolicy, direction: "egress" | "ingress"): { affects: boolean; guess: boolean } {
  const types = policy.policyTypes ?? [];
  if (types.length === 0) {
    return { affects: direction === "ingress" || (policy.egress ?? []).length > 0, guess: false };
  }
  const wanted = direction === "ingress" ? "Ingress" : "Egress";
  return { affects: types.includes(wanted), guess: types.some((t) => t !== "Ingress" && t !== "Egress") };
}

function ruleMatches(state: OracleState, rule: NetworkPolicyRule, pod: Pod, packet: OraclePacket): boolean {
  if (!clean(rule)) return false;
  // "If this field is empty or missing, this rule matches all sources/destinations (traffic not restricted by …)."
  const peers = rule.peers ?? [];
  if (peers.length > 0 && !peers.some((p) => peerMatches(state, p, pod, packet.peer))) return false;
  // "If this field is empty or missing, this rule matches all ports (traffic not restricted by port)."
  const ports = rule.ports ?? [];
  const target = packet.direction === "ingress" ? pod : podAt(state, packet.peer);
  return ports.length === 0 || ports.some((p) => portMatches(p, target, packet));
}

function peerMatches(state: OracleState, peer: NetworkPolicyPeer, pod: Pod, address: string): boolean {
  if (!clean(peer)) return false;
  const { podSelector, namespaceSelector, ipBlock } = peer;
  if (ipBlock) {
    // "If this field is set then neither of the other fields can be."
    if (podSelector || namespaceSelector || !clean(ipBlock)) return false;
    const network = networkBits(ipBlock.cidr);
    const except = ipBlock.except ?? [];
    if (!network) return false;
    for (const text of except) {
      const inner = networkBits(text);
      if (!inner || inner.total !== network.total || !inner.fixed.startsWith(network.fixed)) return false;
    }
    return isInside(address, ipBlock.cidr) && !except.some((e) => isInside(address, e));
  }
  if (!podSelector && !namespaceSelector) return false;
  if (podSelector && !selectorIsValid(podSelector)) return false;
  if (namespaceSelector && !selectorIsValid(namespaceSelector)) return false;
  const other = podAt(state, address);
  if (!other) return false;
  // "namespaceSelector selects namespaces using cluster-scoped labels. […] if present but empty, it selects all namespaces. If
  // podSelector is also set, then the NetworkPolicyPeer as a whole selects the pods matching podSelector in the namespaces
  // selected by namespaceSelector. Otherwise it selects all pods in the namespaces selected by namespaceSelector."
  if (namespaceSelector) {
    const namespace = state.namespaces.get(other.namespace);
    if (namespace === undefined || namespace === "unreadable") return false;
    if (!selectorMatches(namespaceSelector, namespace.labels)) return false;
  } else if (other.namespace !== pod.namespace) {
    return false; // "Otherwise it selects the pods matching podSelector in the policy's own namespace."
  }
  return !podSelector || selectorMatches(podSelector, other.labels);
}

function portMatches(port: NetworkPolicyPort, target: Pod | undefined, packet: OraclePacket): boolean {
  if (!clean(port)) return false;
  // "protocol represents the protocol (TCP, UDP, or SCTP) which traffic must match. If not specified, this field defaults to
  // TCP."
  const protocol = port.protocol ?? "TCP";
  if (!["TCP", "UDP", "SCTP"].includes(protocol) || packet.protocol !== protocol) return false;
  const { port: first, endPort } = port;
  // "If this field is not provided, this matches all port names and numbers."
  if (first === undefined) return endPort === undefined;
  if (typeof first === "string") {
    // "This can either be a numerical or named port on a pod."
    if (endPort !== undefined || first.length > 15 || !/^[a-z0-9-]+$/.test(first)) return false;
    return (target?.ports ?? []).some((p) => p.name === first && p.protocol === protocol && p.port === packet.port);
  }
  const valid = (n: number): boolean => Number.isInteger(n) && n > 0 && n < 65_536;
  if (!valid(first)) return false;
  if (endPort === undefined) return packet.port === first;
  // "endPort indicates that the range of ports from port to endPort if set, inclusive, should be allowed by the policy. This
  // field cannot be defined if the port field is not defined or if the port field is defined as a named (string) port. The
  // endPort must be equal or greater than port."
  return valid(endPort) && endPort >= first && packet.port >= first && packet.port <= endPort;
}
