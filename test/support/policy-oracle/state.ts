import type { ClusterNetworkPolicy } from "../../../src/models/k8s/cluster-network-policy.ts";
import type { Namespace } from "../../../src/models/k8s/namespace.ts";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import type { K8sNode } from "../../../src/models/k8s/node.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";

/** A pod's wiring on the node in question. */
export interface OracleWiring {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string | undefined;
  readonly ips: readonly string[];
}

/** A cluster as one node sees it. `"unreadable"` stands for an object that is there but can't be read. */
export interface OracleState {
  readonly namespaces: ReadonlyMap<string, Namespace | "unreadable">;
  /** By namespace/name, as are the policies. */
  readonly pods: ReadonlyMap<string, Pod | "unreadable">;
  readonly networkPolicies: ReadonlyMap<string, NetworkPolicy | "unreadable">;
  /** By name. */
  readonly clusterPolicies: ReadonlyMap<string, ClusterNetworkPolicy | "unreadable">;
  readonly wirings: ReadonlyMap<string, OracleWiring>;
  readonly nodes: ReadonlyMap<string, K8sNode>;
  /** Whose wirings they are. */
  readonly node: string;
}

export type OracleProtocol = "ICMP" | "SCTP" | "TCP" | "UDP";

/** The first packet of a connection at a pod of the node. */
export interface OraclePacket {
  readonly direction: "egress" | "ingress";
  /** Source of ingress, destination of egress. */
  readonly peer: string;
  readonly protocol: OracleProtocol;
  readonly port: number;
}
