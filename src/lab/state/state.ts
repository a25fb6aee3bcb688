import type { PodName } from "../names.ts";
import type { ProcessId } from "../process/proc.ts";

export type DataplaneChoice = "linux" | "vpp" | "mixed";
export type StoreChoice = "etcd" | "embedded" | "auto";
export type Overlay = "vxlan" | "none";

/** A process that the lab starts. Written down before it is started, its identity right after. */
export interface ProcessRecord {
  /** `agent-n1`, `etcd`, `store-serve` */
  readonly role: string;
  readonly id?: ProcessId;
}

export interface NodeRecord {
  readonly name: string;
  readonly netns: string;
  readonly dataplane: "linux" | "vpp";
  /** Addresses on the underlay, IPv4 first. */
  readonly underlay: readonly string[];
}

export interface PodRecord extends PodName {
  readonly node: string;
  readonly netns: string;
  /** 64 hex digits, as container runtimes make them. */
  readonly containerId: string;
  readonly uid: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of its container, as a Pod says it. */
  readonly ports?: readonly ContainerPort[];
  /** As ADD answered, IPv4 first, without prefix length; empty until then. */
  readonly ips: readonly string[];
  /** What the runtime passed as `runtimeConfig`; CHECK and DEL repeat it. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol?: "SCTP" | "TCP" | "UDP";
}

export interface StoreRecord {
  readonly kind: "etcd" | "embedded";
  /** URLs (etcd) or the socket's path (embedded). */
  readonly endpoints: readonly string[];
}

/**
 * The lab's ledger, `lab.json`: whatever is created is written here first, so that `down` finds it after a crash at
 * any point. What it names may not exist (yet, or any more).
 */
export interface LabState {
  readonly version: 1;
  readonly id: string;
  readonly createdAt: string;
  /** `starting`: `up` has not finished, or died. `stopping`: `down` has not finished, or died. */
  readonly phase: "starting" | "up" | "stopping";
  /** Whether `up` made the directory, so that `down` removes it. */
  readonly madeDir: boolean;
  readonly overlay: Overlay;
  /** Policies are enforced, by the manifests of the lab. */
  readonly policies: boolean;
  readonly mtu: number;
  readonly pools: readonly { readonly cidr: string; readonly nodePrefix: number }[];
  readonly store: StoreRecord;
  /** Every namespace of the lab, also those of pods. */
  readonly namespaces: readonly string[];
  readonly processes: readonly ProcessRecord[];
  readonly nodes: readonly NodeRecord[];
  readonly pods: readonly PodRecord[];
  /** Number of the next pod's namespace; never reused. */
  readonly nextPod: number;
}

/** The state with one process's record replaced or added. */
export function withProcess(state: LabState, record: ProcessRecord): LabState {
  return { ...state, processes: [...state.processes.filter((p) => p.role !== record.role), record] };
}

export function withNode(state: LabState, node: NodeRecord): LabState {
  return { ...state, nodes: state.nodes.map((n) => (n.name === node.name ? node : n)) };
}

export function withPod(state: LabState, pod: PodRecord): LabState {
  return { ...state, pods: [...state.pods.filter((p) => p.containerId !== pod.containerId), pod] };
}

export function withoutPod(state: LabState, pod: PodRecord): LabState {
  return {
    ...state,
    pods: state.pods.filter((p) => p.containerId !== pod.containerId),
    namespaces: state.namespaces.filter((n) => n !== pod.netns),
  };
}
