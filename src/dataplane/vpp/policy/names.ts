import type { TableId } from "../../../policy/api.ts";

/** Lists that stand before those of tables: of what pods send, and get. */
export const COMMON_LISTS = { egress: "policy-egress", ingress: "policy-ingress" } as const;

/** Keeps others from using the node's addresses, where packets come in by uplinks. */
export const NOT_THE_NODE_LIST = "policy-not-the-node";

export const tableList = (id: TableId): string => `policy-${id}`;
/** A pod's own: it reaches itself. */
export const selfList = (link: string): string => `policy-self-${link}`;

/** The table of routes by which what pods send is checked for its source. */
export const SOURCES_VRF = 2;
/** That by which what comes from other nodes is. */
export const OVERLAY_SOURCES_VRF = 3;
