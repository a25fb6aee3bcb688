import { type Entry, isUnreadable, readable } from "../../models/k8s/entry.ts";
import type { Namespace } from "../../models/k8s/namespace.ts";
import { isCompleted, type Pod } from "../../models/k8s/pod.ts";
import type { Isolation, LocalPod, SetElement } from "../api.ts";
import type { Claim } from "./claims.ts";
import type { PeerSet, ScopeIndex } from "./peer-set.ts";

// What is known of pods and namespaces, linked with each other. Mutable; ./cluster.ts and ./peer-sets.ts keep it right.

export interface NamespaceRecord {
  readonly name: string;
  object: Entry<Namespace>;
  readonly pods: Set<PodRecord>;
  /** The scopes in use that contain it. */
  readonly scopes: Set<ScopeIndex>;
}

/** All pods that have one label with one value. */
export interface LabelRecord {
  /** {@link labelPair} */
  readonly pair: string;
  readonly pods: Set<PodRecord>;
}

export interface PodRecord {
  /** `namespace/name` */
  readonly key: string;
  readonly namespace: NamespaceRecord;
  readonly name: string;
  object: Entry<Pod>;
  /** Wirings of that name on this node, whichever incarnation of the pod they belong to. */
  readonly locals: Set<LocalRecord>;
  labels: readonly LabelRecord[];
  claim: Claim<PodRecord> | undefined;
  /** The addresses that count for it, as elements of sets. Replaced when they change. */
  elements: readonly SetElement[];
  /** What it has put into which sets. */
  applied: Map<PeerSet, readonly SetElement[]>;
}

export interface LocalRecord {
  readonly object: LocalPod;
  readonly pod: PodRecord;
  /** Of a wiring whose pod is not known. */
  claim: Claim<PodRecord> | undefined;
}

/** Whether the wiring belongs to this incarnation of the pod. */
export function belongsTo(local: LocalPod, pod: Pod): boolean {
  return !local.uid || !pod.uid || local.uid === pod.uid || local.uid === pod.mirrorOf;
}

/** Pods that selectors can mean: not those of the host network, and none that have ended. */
export const isPeer = (pod: Pod): boolean => !pod.hostNetwork && !isCompleted(pod);

/** Why nothing is known of the pod's policies; undefined if all is known. Without `local`: of a pod elsewhere. */
export function isolationOf(pod: PodRecord, local?: LocalPod): Isolation | undefined {
  if (local?.unmanaged) return undefined;
  const { object } = pod;
  if (object === undefined) return "no-object";
  if (isUnreadable(object)) return "unreadable-object";
  if (local && !belongsTo(local, object)) return "no-object";
  if (local && object.hostNetwork) return "host-network";
  return readable(pod.namespace.object) === undefined ? "no-namespace" : undefined;
}
