import { judgeByTier } from "./cluster-network-policy.ts";
import { judgeByNetworkPolicies } from "./network-policy.ts";
import { podOf } from "./pods.ts";
import type { OraclePacket, OracleState, OracleWiring } from "./state.ts";

/**
 * Whether the first packet of a connection may pass the interface of a pod, straight from the API's text: no indexes, no
 * tables, everything looked up again for every packet.
 */
export function oracleAllows(state: OracleState, wiring: OracleWiring, packet: OraclePacket): boolean {
  // A pod can't be kept from itself.
  if (wiring.ips.some((ip) => ip === packet.peer)) return true;
  // The kubelet's probes: from the own node always.
  const own = state.nodes.get(state.node)?.addresses ?? [];
  if (packet.direction === "ingress" && own.some((a) => a === packet.peer)) return true;
  const pod = podOf(state, wiring);
  const namespace = state.namespaces.get(wiring.namespace);
  if (!pod || pod.hostNetwork || namespace === undefined || namespace === "unreadable") return false;
  // "Policy tiers are evaluated in the following order: Admin tier, NetworkPolicy tier, Baseline tier"
  const admin = judgeByTier(state, "Admin", pod, packet);
  if (admin !== "next") return admin === "allowed";
  // "v1.NetworkPolicy always makes a final decision for selected pods."
  const middle = judgeByNetworkPolicies(state, pod, packet);
  if (middle !== "not isolated") return middle === "allowed";
  const baseline = judgeByTier(state, "Baseline", pod, packet);
  // "If a given connection wasn't allowed or denied by any of the tiers, the default kubernetes policy is applied, which says
  // that all pods can communicate with each other."
  return baseline !== "denied";
}
