import type { IpFamily } from "../../../base/ip/address.ts";
import type { Direction, SetId, TableId } from "../../../policy/api.ts";

/** Maps from a pod's link to the chain that judges what the pod sends, or gets. */
export const POD_MAPS: Readonly<Record<Direction, string>> = { egress: "pod_egress", ingress: "pod_ingress" };

/** Links whose pods are known. */
export const POD_LINKS = "pod_links";

/** Which addresses a pod's link may send from: all of its pod's. */
export const POD_SOURCES: Readonly<Record<IpFamily, string>> = { 4: "pod_sources4", 6: "pod_sources6" };

/** Where packets end that no rule was asked about: of links that are not known, of connections that are no longer allowed. */
export const DENIED_CHAIN = "policy_denied";

/** Where packets end that the rules of a pod deny. */
export const DENIED_BY_RULES: Readonly<Record<Direction, string>> = {
  egress: "policy_denied_egress",
  ingress: "policy_denied_ingress",
};

/** Links of pods; each counts the packets that were denied to it. */
export const DENIED_PODS: Readonly<Record<Direction, string>> = {
  egress: "pod_denied_egress",
  ingress: "pod_denied_ingress",
};

/** Drops what does not come from its pod's addresses. */
export const SOURCE_CHAIN = "policy_source";

/**
 * Bit of the connection mark that says that policies no longer allow the connection. The others are left alone: other
 * programs on a node use them (kube-proxy 0x4000 and 0x8000, Calico 0xffff0000 by default).
 */
export const DENIED_MARK = 0x0000_0100;

/** One family of a set. */
export const setName = (id: SetId, family: IpFamily): string => `${id}_${family}`;

/** The chain of a table's tier, from 0. */
export const tierChain = (id: TableId, tier: number): string => (tier === 0 ? id : `${id}_${tier}`);
