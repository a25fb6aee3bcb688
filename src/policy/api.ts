import type { Brand } from "../base/brand/brand.ts";
import type { IpAddress, IpFamily } from "../base/ip/address.ts";
import type { Change } from "../controller/api.ts";
import type { Key, KeyValue } from "../kvscheduler/api/descriptor.ts";
import type { ClusterNetworkPolicy } from "../models/k8s/cluster-network-policy.ts";
import type { Entry } from "../models/k8s/entry.ts";
import type { ObjectName } from "../models/k8s/keys.ts";
import type { Namespace } from "../models/k8s/namespace.ts";
import type { NetworkPolicy } from "../models/k8s/network-policy.ts";
import type { K8sNode } from "../models/k8s/node.ts";
import type { Pod, PortProtocol } from "../models/k8s/pod.ts";

import type { JudgedPacket, Judgement } from "./tables/judge.ts";

export { type Connection, ConnectionScope, type IsOwnNode } from "./connections.ts";
export { type JudgeContext, type JudgedPacket, type Judgement, judge } from "./tables/judge.ts";
export type { Change, ObjectName, PortProtocol };

// ---- in -----------------------------------------------------------------------------------------------------------------

/** A pod's wiring on this node. A pod with several interfaces has several. */
export interface LocalPod extends ObjectName {
  /** Names the wiring; rows are keyed by it. */
  readonly id: string;
  /** As the runtime said. Without it every Pod object of the name is taken for this pod's. */
  readonly uid?: string | undefined;
  /** Addresses of this interface. */
  readonly ips: readonly IpAddress[];
  /** Addresses that may be sent from by this interface: all of the pod's; {@link ips} if absent. */
  readonly sources?: readonly IpAddress[] | undefined;
  /** Not a pod of Kubernetes (its name means nothing): no policy is about it, everything is accepted. */
  readonly unmanaged?: boolean | undefined;
}

/** A change of the state that the engine knows. `undefined` is "is no more". */
export type PolicyInput =
  | { readonly kind: "clusternetworkpolicy"; readonly at: ObjectName; readonly object: Entry<ClusterNetworkPolicy> }
  | { readonly kind: "local"; readonly id: string; readonly object: LocalPod | undefined }
  | { readonly kind: "namespace"; readonly at: ObjectName; readonly object: Entry<Namespace> }
  | { readonly kind: "networkpolicy"; readonly at: ObjectName; readonly object: Entry<NetworkPolicy> }
  | { readonly kind: "node"; readonly at: ObjectName; readonly object: Entry<K8sNode> }
  | { readonly kind: "pod"; readonly at: ObjectName; readonly object: Entry<Pod> };

// ---- out ----------------------------------------------------------------------------------------------------------------
//
// What is in force at the interface of a local pod, in this order, for the first packet of a connection (replies and related
// ICMP errors belong to their connection; neighbour discovery is never judged):
//   1. The pod talks to itself (also through a service): accept.
//   2. Ingress only: the source is the pod's own node: accept. Nobody else may be able to use those addresses.
//   3. The table of the direction: the tiers in order. In a tier the first rule that matches decides: `accept` and `deny`
//      are final, `pass` goes on to the next tier. Behind a tier's last rule: its `end`. Behind the last tier: accept.
// 1 and 2 are the same for every pod and are no part of the tables, so that tables can be shared.
// Addresses are those behind the translation of services: the pod's, not the service's.

export type Direction = "egress" | "ingress";

/** Content-addressed: equal tables have equal IDs, on every node and after every history. Safe in names of nft objects. */
export type TableId = Brand<string, "TableId">;
/** Names what a set is to contain, not its elements. Safe in names of nft objects. */
export type SetId = Brand<string, "SetId">;

/** What is in force for one wiring of a local pod. */
export interface PodPolicyRow {
  readonly id: string;
  readonly pod: ObjectName;
  readonly ips: readonly IpAddress[];
  readonly sources: readonly IpAddress[];
  readonly ingress: TableId;
  readonly egress: TableId;
  /** Set if the pod's policies can't be known: then both tables deny everything. */
  readonly isolated?: Isolation | undefined;
  /** Set if nothing is known of the pod and it is open all the same, as configured: then both tables accept everything. */
  readonly openThough?: Isolation | undefined;
  /** Those that select the pod, sorted. */
  readonly policies: readonly PolicyRef[];
}

export type Isolation =
  /** No Pod object of the name and UID has been seen (yet). */
  | "no-object"
  /** The Pod object can't be read. */
  | "unreadable-object"
  /** The Pod object says that the pod has no network of its own, which this wiring belies. */
  | "host-network"
  /** Its Namespace has not been seen, or can't be read. */
  | "no-namespace";

export type TierName = "Admin" | "Baseline" | "NetworkPolicy";

export interface RuleTable {
  readonly id: TableId;
  readonly direction: Direction;
  /** Those with an effect, in the order of evaluation. None: everything is accepted. */
  readonly tiers: readonly Tier[];
}

export interface Tier {
  readonly name: TierName;
  readonly rules: readonly Rule[];
  readonly end: "deny" | "next";
}

export type Verdict = "accept" | "deny" | "pass";

export interface Rule {
  readonly verdict: Verdict;
  readonly peer: RulePeer;
  /** Ranges of the destination port, sorted, disjoint; none: all traffic, of every protocol. */
  readonly ports: readonly PortRange[];
  /** Whose rule it is; only in engines that attribute. */
  readonly origin?: RuleOrigin | undefined;
}

/** `first` 0 with `last` 65535: every packet of the protocol. */
export interface PortRange {
  readonly protocol: PortProtocol;
  readonly first: number;
  readonly last: number;
}

/** Whom a rule is about: the source of ingress, the destination of egress. */
export type RulePeer =
  | { readonly kind: "any" }
  /** Addresses in a set of kind "addresses". */
  | { readonly kind: "pods"; readonly set: SetId }
  /** Destination address, protocol and port in a set of kind "endpoints": a named port of several pods. */
  | { readonly kind: "endpoints"; readonly set: SetId }
  /** Canonical, sorted, disjoint networks. */
  | { readonly kind: "blocks"; readonly cidrs: readonly string[] }
  /** Every address of the pod's own node; egress only. */
  | { readonly kind: "own-node" };

export interface RuleOrigin {
  readonly policy: PolicyRef;
  /** Place in `ingress` or `egress`; -1: the exemption of the own node. */
  readonly rule: number;
  readonly ruleName?: string | undefined;
}

export interface PolicyRef extends ObjectName {
  readonly kind: "ClusterNetworkPolicy" | "NetworkPolicy";
}

/** One family of a set. Both families of a set come and go together. */
export interface SetRow {
  readonly id: SetId;
  readonly kind: SetKind;
  readonly family: IpFamily;
  /** Sorted by {@link elementKey}. */
  readonly elements: readonly SetElement[];
}

export type SetKind = "addresses" | "endpoints";

/** `protocol` and `port` in sets of endpoints only. */
export interface SetElement {
  readonly ip: IpAddress;
  readonly protocol?: PortProtocol;
  readonly port?: number;
}

export const elementKey = (e: SetElement): string =>
  e.protocol === undefined ? e.ip : `${e.ip}|${e.protocol}|${e.port}`;

/** What became of one family of a set. */
export interface SetChange {
  readonly id: SetId;
  readonly kind: SetKind;
  readonly family: IpFamily;
  /** `created`: `added` is all of it. `deleted`: no table uses it any more; `removed` is all of it. */
  readonly what: "changed" | "created" | "deleted";
  readonly added: readonly SetElement[];
  readonly removed: readonly SetElement[];
}

/** What an input changed; everything sorted. Tables never change: another content is another table. */
export interface PolicyChanges {
  readonly pods: readonly Change<PodPolicyRow>[];
  readonly tables: readonly Change<RuleTable>[];
  readonly sets: readonly SetChange[];
  /** Policies whose problems changed. */
  readonly problems: readonly Change<PolicyProblems>[];
}

/** Everything, for a resync. The same after every history that led to the same state. */
export interface PolicyRows {
  readonly pods: readonly PodPolicyRow[];
  readonly tables: readonly RuleTable[];
  readonly sets: readonly SetRow[];
  readonly problems: readonly PolicyProblems[];
}

// ---- what enforces ------------------------------------------------------------------------------------------------------

/** A southbound item; without a value it goes. */
export interface PolicyItem {
  readonly key: Key;
  readonly value: unknown;
}

/** The tables and sets that are to be in force. */
export interface PolicyView {
  table(id: TableId): RuleTable | undefined;
  /** Both families; none if no table uses it. */
  set(id: SetId): readonly SetRow[];
}

/** What is to become of the connection that a packet would begin at a wiring; undefined if there is no such wiring. */
export type ConnectionJudge = (
  id: string,
  direction: Direction,
  packet: JudgedPacket,
  isOwnNode: (ip: IpAddress) => boolean,
) => Judgement | undefined;

export interface RejudgeScope {
  /** All wirings of this node. */
  readonly rows: readonly PodPolicyRow[];
  /** IDs of those whose connections may not be as they should be. */
  readonly changed: ReadonlySet<string>;
}

/** Numbers of connections. */
export interface Rejudgement {
  readonly judged: number;
  /** Were going on, and are no longer allowed. */
  readonly stopped: number;
  /** Were stopped before, and are allowed again. */
  readonly resumed: number;
}

/** Packets are those that were judged: of a connection the first one, and what is sent before it is answered. */
export interface Count {
  readonly packets: number;
  readonly bytes: number;
}

/** What one rule of a table, or the end of one of its tiers, has decided. */
export interface RuleCount extends Count {
  readonly table: TableId;
  /** Place in {@link RuleTable.tiers}. */
  readonly tier: number;
  /** Place in {@link Tier.rules}. */
  readonly rule: number | "end";
}

/** What has been denied to a wiring. */
export interface DeniedCount extends Count {
  readonly id: string;
  readonly direction: Direction;
}

/** What a dataplane has counted since its rules and pods are there. */
export interface PolicyCounts {
  readonly rules: readonly RuleCount[];
  readonly denied: readonly DeniedCount[];
  /** Of connections that are no longer allowed, and of links that are not known. */
  readonly stopped: Count;
  /** Sent from addresses that are not the pod's. */
  readonly forged: Count;
}

/** A packet that was denied. */
export interface DeniedPacket {
  readonly direction: Direction;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IP protocol number. */
  readonly protocol: number;
  /** Undefined where the packet has none. */
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

/** What policies need of a dataplane. */
export interface PolicyWiring {
  /** What is there with and without policies: packets of pods without a row are dropped. */
  policyBase(): Iterable<KeyValue>;
  /** Everything. Pure; the same rows yield the same items. */
  renderPolicies(rows: PolicyRows): Iterable<KeyValue>;
  /** What a change touches. */
  renderPolicyChanges(changes: PolicyChanges, view: PolicyView): Iterable<PolicyItem>;
  /** Items that must be in place before the pod of this wiring is told that it has its network. */
  podPolicyKeys(id: string): readonly Key[];
  /**
   * Judges established connections again: those that are no longer allowed stop, those that are again go on. Resolves when
   * that is in force.
   */
  rejudge(scope: RejudgeScope, judge: ConnectionJudge): Promise<Rejudgement>;
  /**
   * Only lets go on, without a look at all connections, what was stopped and is allowed again; resolves with how many that
   * were. Never called during {@link rejudge}. Absent where nothing new is held up by what was stopped.
   */
  resume?(scope: RejudgeScope, judge: ConnectionJudge): Promise<number>;
  /** What the rules of these tables, and pods, have counted. Absent where nothing is counted. */
  counts?(tables: Iterable<RuleTable>): Promise<PolicyCounts>;
  /**
   * From now on `denied` is called with denied packets, but not with more of them a second than was configured. Absent
   * where the dataplane does not tell.
   */
  followDenied?(denied: (packets: readonly DeniedPacket[]) => void): void;
}

// ---- what is wrong ------------------------------------------------------------------------------------------------------

/** What is wrong with a policy. Never empty. */
export interface PolicyProblems {
  readonly policy: PolicyRef;
  readonly problems: readonly PolicyProblem[];
}

export interface PolicyProblem {
  /** Such as `spec.ingress[0].from[2].ipBlock.except[1]`. */
  readonly at: string;
  readonly message: string;
  /** What is done about it. */
  readonly effect: ProblemEffect;
}

export type ProblemEffect =
  /** Enforced as written. */
  | "none"
  /** The peer or port matches nothing. */
  | "part-ignored"
  /** The rule matches nothing. */
  | "rule-ignored"
  /** The rule denies everything. */
  | "rule-denies"
  /** All pods that could be meant are isolated in the policy's directions; it allows nothing. */
  | "isolates";

export const refText = (p: PolicyRef): string =>
  p.kind === "NetworkPolicy" ? `NetworkPolicy ${p.namespace}/${p.name}` : `ClusterNetworkPolicy ${p.name}`;
