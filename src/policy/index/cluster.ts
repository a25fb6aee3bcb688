import { type Entry, readable } from "../../models/k8s/entry.ts";
import type { ObjectName } from "../../models/k8s/keys.ts";
import type { Namespace } from "../../models/k8s/namespace.ts";
import type { K8sNode } from "../../models/k8s/node.ts";
import { isCompleted, type Pod } from "../../models/k8s/pod.ts";
import type { LocalPod } from "../api.ts";
import { labelPair } from "../compile/selector.ts";
import { type Claim, ClaimRank, Claims } from "./claims.ts";
import { belongsTo, type LabelRecord, type LocalRecord, type NamespaceRecord, type PodRecord } from "./records.ts";

/** What has changed since the last event. */
export interface Dirty {
  readonly pods: Set<PodRecord>;
  readonly namespaces: Set<NamespaceRecord>;
  /** Wirings whose policies may have changed. */
  readonly locals: Set<LocalRecord>;
}

/** Pods, namespaces, nodes and local wirings, with the indexes that find them. Collects what an event has touched. */
export class Cluster {
  readonly pods = new Map<string, PodRecord>();
  readonly namespaces = new Map<string, NamespaceRecord>();
  readonly nodes = new Map<string, K8sNode>();
  readonly locals = new Map<string, LocalRecord>();
  readonly labels = new Map<string, LabelRecord>();
  readonly claims = new Claims<PodRecord>();
  readonly dirty: Dirty = { pods: new Set(), namespaces: new Set(), locals: new Set() };

  putNode(name: string, object: Entry<K8sNode>): void {
    const node = readable(object);
    if (node) this.nodes.set(name, node);
    else this.nodes.delete(name);
  }

  putNamespace(name: string, object: Entry<Namespace>): void {
    if (object === undefined && !this.namespaces.has(name)) return;
    const namespace = this.#namespace(name);
    namespace.object = object;
    this.dirty.namespaces.add(namespace);
    for (const pod of namespace.pods) for (const local of pod.locals) this.dirty.locals.add(local);
  }

  putPod(at: ObjectName, object: Entry<Pod>): void {
    if (object === undefined && !this.pods.has(podKey(at))) return;
    const pod = this.#pod(at);
    pod.object = object;
    this.#relabel(pod, readable(object));
    this.#podChanged(pod);
  }

  putLocal(id: string, object: LocalPod | undefined): void {
    const old = this.locals.get(id);
    if (old) {
      this.locals.delete(id);
      old.pod.locals.delete(old);
      this.claims.replace(old.claim, undefined);
      this.dirty.locals.add(old);
      this.#podChanged(old.pod);
    }
    if (!object) return;
    const pod = this.#pod(object);
    const local: LocalRecord = { object, pod, claim: undefined };
    this.locals.set(id, local);
    pod.locals.add(local);
    this.#podChanged(pod);
  }

  #podChanged(pod: PodRecord): void {
    this.dirty.pods.add(pod);
    for (const local of pod.locals) this.dirty.locals.add(local);
    this.#reclaim(pod);
  }

  /**
   * A pod has the addresses of its wirings here, or else those that its object names. A wiring whose pod is unknown keeps
   * its addresses from counting for anybody.
   */
  #reclaim(pod: PodRecord): void {
    const object = readable(pod.object);
    const own: LocalRecord[] = [];
    for (const local of pod.locals) {
      const known = object !== undefined && belongsTo(local.object, object);
      if (known) own.push(local);
      const claim = known ? undefined : claimOf(undefined, object, ClaimRank.LOCAL, local.object.ips, local.object.id);
      this.claims.replace(local.claim, claim);
      local.claim = claim;
    }
    let claim: Claim<PodRecord> | undefined;
    if (object && own.length > 0) {
      claim = claimOf(
        pod,
        object,
        ClaimRank.LOCAL,
        own.flatMap((l) => l.object.ips),
      );
    } else if (object && !object.hostNetwork && !isCompleted(object)) {
      claim = claimOf(pod, object, object.terminating ? ClaimRank.TERMINATING : ClaimRank.LIVE, object.ips);
    }
    this.claims.replace(pod.claim, claim);
    pod.claim = claim;
  }

  #relabel(pod: PodRecord, object: Pod | undefined): void {
    const before = pod.labels;
    pod.labels = Object.entries(object?.labels ?? {}).map(([k, v]) => this.#label(labelPair(k, v)));
    for (const label of pod.labels) label.pods.add(pod);
    for (const label of before) {
      if (pod.labels.includes(label)) continue;
      label.pods.delete(pod);
      if (label.pods.size === 0) this.labels.delete(label.pair);
    }
  }

  #label(pair: string): LabelRecord {
    let label = this.labels.get(pair);
    if (!label) this.labels.set(pair, (label = { pair, pods: new Set() }));
    return label;
  }

  #namespace(name: string): NamespaceRecord {
    let namespace = this.namespaces.get(name);
    if (!namespace) {
      namespace = { name, object: undefined, pods: new Set(), scopes: new Set() };
      this.namespaces.set(name, namespace);
      this.dirty.namespaces.add(namespace);
    }
    return namespace;
  }

  #pod(at: ObjectName): PodRecord {
    const key = podKey(at);
    let pod = this.pods.get(key);
    if (!pod) {
      const namespace = this.#namespace(at.namespace);
      pod = {
        key,
        namespace,
        name: at.name,
        object: undefined,
        locals: new Set(),
        labels: [],
        claim: undefined,
        elements: [],
        applied: new Map(),
      };
      this.pods.set(key, pod);
      namespace.pods.add(pod);
    }
    return pod;
  }

  /** Drops the records of what no longer exists, and forgets what was dirty. At the end of every event. */
  sweep(): void {
    for (const pod of this.dirty.pods) {
      if (pod.object !== undefined || pod.locals.size > 0) continue;
      this.pods.delete(pod.key);
      pod.namespace.pods.delete(pod);
      this.dirty.namespaces.add(pod.namespace);
    }
    for (const namespace of this.dirty.namespaces) {
      if (namespace.object !== undefined || namespace.pods.size > 0) continue;
      this.namespaces.delete(namespace.name);
      for (const scope of namespace.scopes) scope.namespaces.delete(namespace);
    }
    this.dirty.pods.clear();
    this.dirty.namespaces.clear();
    this.dirty.locals.clear();
  }
}

export const podKey = ({ namespace, name }: ObjectName): string => `${namespace}/${name}`;

function claimOf(
  owner: PodRecord | undefined,
  object: Pod | undefined,
  rank: number,
  ips: Claim<PodRecord>["ips"],
  tie = `${object?.uid} ${owner?.key}`,
): Claim<PodRecord> | undefined {
  if (ips.length === 0) return undefined;
  return { owner, rank, created: object?.created ?? 0, tie, ips: [...new Set(ips)] };
}
