import type { IpAddress } from "../base/ip/address.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { LocalNodeRow, PeerRow } from "../nodes/api.ts";

/** What becomes of what a pod sends to the outside. */
export type EgressWay =
  /** It leaves from this node, as this address. */
  | { readonly to: "here"; readonly source: IpAddress }
  /** It leaves from the peer of this name, which translates it. */
  | { readonly to: "peer"; readonly peer: string }
  /** Nobody can give it the address that it is to have: it is dropped. */
  | { readonly to: "nowhere" };

/** An address of a pod whose namespace has egress addresses. */
export interface EgressRow {
  readonly pod: IpAddress;
  readonly way: EgressWay;
}

/**
 * What is in force on a node as long as any namespace has egress addresses. It holds for connections that pods begin. Their
 * answers, and what others begin, go as they always do.
 */
export interface EgressState {
  readonly local: LocalNodeRow;
  /** Sorted by pod: pods of this node, and those of others that leave from here. */
  readonly rows: readonly EgressRow[];
  /** Nodes that rows lead to. Sorted by name. */
  readonly gateways: readonly PeerRow[];
  /**
   * Destinations that no egress address is for, beside the cluster's networks: addresses of nodes, and what is never
   * translated. Canonical, sorted, none inside another.
   */
  readonly kept: readonly string[];
  /** Networks of other nodes' pods, sorted: what comes from there to the outside, and is in no row, is dropped. */
  readonly peerCIDRs: readonly string[];
}

/** A pod's flows to the outside that have another source than this are stale; all of them where it is undefined. */
export type EgressSources = ReadonlyMap<IpAddress, IpAddress | undefined>;

/** What egress addresses need of a dataplane. */
export interface EgressWiring {
  /** Pure. */
  renderEgress(state: EgressState): Iterable<KeyValue>;
  /** What a pod can't do without that may have a row. */
  podEgressKeys(ips: readonly string[]): Iterable<Key>;
  /**
   * Ends flows of pods to the outside that began with another source, so that their next packet is looked at anew. Never
   * rejects; what could not be done is among the dataplane's warnings.
   */
  endFlows(sources: EgressSources, isOutside: (destination: IpAddress) => boolean): Promise<void>;
}

/** A problem of a namespace: what is dropped because of it. */
export interface EgressProblem {
  readonly code: EgressProblemCode;
  readonly message: string;
}

export type EgressProblemCode =
  /** The annotation can't be understood: all that the namespace sends to the outside is dropped. */
  | "INVALID"
  /** No node that this one talks to has the address: it is dropped, of that family. */
  | "NO_NODE"
  /** Pods have addresses of a family that the annotation names no address of: it is dropped, of that family. */
  | "NO_FAMILY"
  /** Several nodes say that they have the address: the one that has got it last is taken. */
  | "SEVERAL_NODES";

export interface EgressStatus {
  readonly namespaces: readonly EgressNamespace[];
  /** Items of the dataplane that are not in place as they should be. */
  readonly missing: readonly Key[];
}

export interface EgressNamespace {
  readonly namespace: string;
  /** Absent `node`: no node has it. */
  readonly addresses: readonly { readonly address: IpAddress; readonly node?: string }[];
  /** Addresses of pods on this node, and of others that leave from here. */
  readonly pods: number;
  readonly problems: readonly EgressProblem[];
}
