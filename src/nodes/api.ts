import { HeddleError } from "../base/errors/errors.ts";
import type { IpAddress } from "../base/ip/address.ts";
import { type MacAddress, macFrom } from "../base/ip/mac.ts";
import type { KeyValue } from "../kvscheduler/api/descriptor.ts";

export type { NodeInfo, Overlay } from "../models/node.ts";

/** Another node as the dataplane wires it. */
export interface PeerRow {
  readonly name: string;
  readonly id: number;
  /** Where the peer is reached. */
  readonly underlayIp: IpAddress;
  /** All its addresses on the network between nodes: next hops where there is no overlay. */
  readonly underlayIps: readonly IpAddress[];
  /** This node's own address of the same family: the source of what goes to the peer. */
  readonly localIp: IpAddress;
  /** Networks of the peer's pods, sorted, IPv4 first. */
  readonly podCIDRs: readonly string[];
  readonly vtepMac: MacAddress;
  /**
   * Next hops inside the overlay, one for each family that the peer has pods of: the gateway address of its first subnet of
   * the family. Unique in the cluster; needs a permanent neighbour entry with `vtepMac`.
   */
  readonly vtepIps: readonly IpAddress[];
}

/** Where this node meets the network between nodes. */
export interface Uplink {
  readonly link: string;
  readonly address: IpAddress;
  /** Of the link. */
  readonly mtu: number;
}

/** This node as its dataplane sets it up, whether or not there are pods and peers. */
export interface LocalNodeRow {
  readonly name: string;
  readonly id: number;
  /** Networks of this node's pods, canonical. */
  readonly podCIDRs: readonly string[];
  /** The first address of each; the node's own inside the overlay. */
  readonly gateways: readonly IpAddress[];
  /** Destinations that see pod addresses: pools and exclusions, none inside another. */
  readonly clusterCIDRs: readonly string[];
  /** Whether the source of what leaves the cluster is translated. */
  readonly masquerade: boolean;
  /** At most one a family. */
  readonly uplinks: readonly Uplink[];
  /** Links whose routes come from router advertisements. */
  readonly raLinks: readonly string[];
  readonly overlay:
    | { readonly kind: "none" }
    | {
        readonly kind: "vxlan";
        readonly vni: number;
        readonly port: number;
        readonly mac: MacAddress;
        readonly local: IpAddress;
        readonly mtu: number;
      };
}

/** What nodes need of a dataplane. Pure. */
export interface NodeWiring {
  renderLocal(row: LocalNodeRow): Iterable<KeyValue>;
  renderPeer(peer: PeerRow, local: LocalNodeRow): Iterable<KeyValue>;
}

/** A node that the dataplane is not told of, and why; for status. */
export interface IgnoredNode {
  readonly name: string;
  readonly reason: string;
}

export interface Mesh {
  /** By name. */
  readonly peers: ReadonlyMap<string, PeerRow>;
  /** By name. */
  readonly ignored: readonly IgnoredNode[];
  /** Why the other nodes ignore this one; undefined if they have no reason to. */
  readonly selfProblem: string | undefined;
}

/** First two bytes of a VTEP's Ethernet address. */
const VTEP_MAC_KIND = 0x122b;

/** The address of a node's end of the overlay, a function of its ID: 12:2b:00:00:00:07 for node 7. */
export const vtepMacOf = (nodeId: number): MacAddress => macFrom(VTEP_MAC_KIND, nodeId);

export type NodesErrorCode =
  /** As many nodes as the pools have subnets for. Add a pool, or remove Nodes that no longer exist. */
  | "IDS_EXHAUSTED"
  /** The node's ID is recorded as another node's. Somebody edited the store, or two nodes have one name. */
  | "ID_CONFLICT"
  /** Other nodes were always quicker; try again later. */
  | "CONTENTION"
  /** The node has no claim (any more): its Node was deleted. Claim again. */
  | "NOT_CLAIMED";

/** The message names keys, nodes and, if pools are the bound, the pool. */
export class NodesError extends HeddleError<NodesErrorCode> {}
