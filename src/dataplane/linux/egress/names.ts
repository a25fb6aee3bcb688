import { OWN_TABLES, OWN_TABLES_MASK } from "../../../models/linux.ts";

/** Names of the table's sets and maps, by family. */
export const EGRESS_SETS = {
  /** Addresses of pods whose namespace has egress addresses: what they begin goes to the outside as it should, or not at all. */
  pods: { 4: "egress_pods4", 6: "egress_pods6" },
  /** Those of them whose way is in place. */
  open: { 4: "egress_open4", 6: "egress_open6" },
  /** As what they leave this node: their egress address, or as they are where they are led to another node. */
  sources: { 4: "egress_sources4", 6: "egress_sources6" },
  /** The same as pairs. */
  pairs: { 4: "egress_pairs4", 6: "egress_pairs6" },
  /** Pods that are led to another node, and the mark by which they are. */
  marks: { 4: "egress_marks4", 6: "egress_marks6" },
  /** Destinations that no egress address is for, beside the cluster's. */
  kept: { 4: "egress_kept4", 6: "egress_kept6" },
  /** Networks of other nodes' pods. */
  peers: { 4: "egress_peers4", 6: "egress_peers6" },
} as const;

/** Mark, and routing table, of what is led to the node of an ID. */
export const egressMark = (nodeId: number): number => EGRESS_MARK + nodeId;
export const EGRESS_MARK = OWN_TABLES;
export const EGRESS_MARK_MASK = OWN_TABLES_MASK;
