import { readable } from "../../models/k8s/entry.ts";
import { elementKey, type SetChange, type SetElement, type SetId } from "../api.ts";
import { type Scope, scopeText } from "../compile/compiled.ts";
import { matches } from "../compile/selector.ts";
import type { Cluster } from "./cluster.ts";
import { PeerSet, type ScopeIndex } from "./peer-set.ts";
import { elementsFor, inScope, type SetQuery, selects } from "./query.ts";
import { isPeer, type NamespaceRecord, type PodRecord } from "./records.ts";

/**
 * The sets that tables use, shared and counted, kept up to date pod by pod. A pod looks up the sets that it may belong to:
 * those filed under one of its labels or ports in the scopes that contain its namespace, and those that ask for neither.
 */
export class PeerSets {
  readonly #cluster: Cluster;
  readonly #sets = new Map<SetId, PeerSet>();
  readonly #scopes = new Map<string, ScopeIndex>();
  readonly #changed = new Set<PeerSet>();
  /** Without users now; dropped at the end of the event unless a table has come to use them. */
  readonly #idle = new Set<PeerSet>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get size(): number {
    return this.#sets.size;
  }

  all(): Iterable<PeerSet> {
    return this.#sets.values();
  }

  get(id: SetId): PeerSet | undefined {
    return this.#sets.get(id);
  }

  acquire(query: SetQuery): void {
    let set = this.#sets.get(query.id);
    if (!set) {
      set = new PeerSet(query, this.#scope(query.pods.scope));
      this.#sets.set(query.id, set);
      file(set, (index) => index.add(set as PeerSet));
      this.#fill(set);
    }
    set.users++;
  }

  release(id: SetId): void {
    const set = this.#sets.get(id);
    if (set && --set.users === 0) this.#idle.add(set);
  }

  /** Brings the sets in line with what changed in the cluster. */
  refresh(): void {
    const { dirty, claims } = this.#cluster;
    for (const namespace of dirty.namespaces) {
      if (!this.#rescope(namespace)) continue;
      for (const pod of namespace.pods) dirty.pods.add(pod);
    }
    for (const pod of claims.settle()) dirty.pods.add(pod);
    // All removals before all additions: an address may go from one pod of a set to another.
    const additions: (readonly [PeerSet, readonly SetElement[]])[] = [];
    for (const pod of dirty.pods) {
      this.#recount(pod);
      const before = pod.applied;
      const now = this.#contribution(pod);
      pod.applied = now;
      for (const [set, elements] of before) this.#remove(set, missing(elements, now.get(set)));
      for (const [set, elements] of now) {
        const added = missing(elements, before.get(set));
        if (added.length > 0) additions.push([set, added]);
      }
    }
    for (const [set, elements] of additions) {
      for (const e of elements) set.add(e);
      this.#changed.add(set);
    }
  }

  /** What became of the sets in this event. */
  takeChanges(): SetChange[] {
    const changes: SetChange[] = [];
    for (const set of this.#idle) {
      if (set.users > 0) continue;
      this.#drop(set);
      this.#changed.delete(set);
      changes.push(...set.gone());
    }
    this.#idle.clear();
    for (const set of this.#changed) changes.push(...set.takeChanges());
    this.#changed.clear();
    return changes;
  }

  #remove(set: PeerSet, elements: readonly SetElement[]): void {
    for (const e of elements) set.remove(e);
    if (elements.length > 0) this.#changed.add(set);
  }

  /** Which of the addresses that it claims the pod has. */
  #recount(pod: PodRecord): void {
    const { claims } = this.#cluster;
    const ips = (pod.claim?.ips ?? []).filter((ip) => claims.owner(ip) === pod);
    const same = ips.length === pod.elements.length && ips.every((ip, i) => pod.elements[i]?.ip === ip);
    if (!same) pod.elements = ips.map((ip) => ({ ip }));
  }

  #contribution(pod: PodRecord): Map<PeerSet, readonly SetElement[]> {
    const out = new Map<PeerSet, readonly SetElement[]>();
    const object = readable(pod.object);
    if (!object || !isPeer(object)) return out;
    const consider = (sets: Iterable<PeerSet> | undefined): void => {
      for (const set of sets ?? []) {
        if (out.has(set) || !matches(set.query.pods.pods, object.labels)) continue;
        const elements = elementsFor(set.query, pod);
        if (elements.length > 0) out.set(set, elements);
      }
    };
    for (const scope of pod.namespace.scopes) {
      for (const label of pod.labels) consider(scope.byLabel.get(label.pair));
      for (const port of object.ports) consider(scope.byPort.get(port.name));
      consider(scope.rest);
    }
    return out;
  }

  /** Whether the scopes in use that contain the namespace are others than before. */
  #rescope(namespace: NamespaceRecord): boolean {
    let changed = false;
    for (const index of this.#scopes.values()) {
      const now = inScope(index.scope, namespace);
      if (now === namespace.scopes.has(index)) continue;
      changed = true;
      if (now) link(index, namespace);
      else unlink(index, namespace);
    }
    return changed;
  }

  #scope(scope: Scope): ScopeIndex {
    const key = scopeText(scope);
    let index = this.#scopes.get(key);
    if (index) return index;
    index = {
      key,
      scope,
      namespaces: new Set(),
      sets: new Set(),
      byLabel: new Map(),
      byPort: new Map(),
      rest: new Set(),
    };
    this.#scopes.set(key, index);
    const { namespaces } = this.#cluster;
    const one = scope.kind === "namespace" ? namespaces.get(scope.name) : undefined;
    for (const namespace of scope.kind === "namespace" ? (one ? [one] : []) : namespaces.values()) {
      if (inScope(scope, namespace)) link(index, namespace);
    }
    return index;
  }

  #fill(set: PeerSet): void {
    for (const { pods } of this.#candidates(set)) {
      for (const pod of pods) {
        if (pod.applied.has(set) || !selects(set.query.pods, pod)) continue;
        const elements = elementsFor(set.query, pod);
        if (elements.length === 0) continue;
        pod.applied.set(set, elements);
        for (const e of elements) set.add(e);
      }
    }
    this.#changed.add(set);
  }

  #drop(set: PeerSet): void {
    this.#sets.delete(set.query.id);
    for (const { pods } of this.#candidates(set)) for (const pod of pods) pod.applied.delete(set);
    file(set, (index) => index.delete(set));
    if (set.scope.sets.size > 0) return;
    this.#scopes.delete(set.scope.key);
    for (const namespace of set.scope.namespaces) namespace.scopes.delete(set.scope);
  }

  /** All pods that can be in the set, from whichever index names fewer. */
  #candidates(set: PeerSet): Iterable<{ readonly pods: Iterable<PodRecord> }> {
    const { labels } = this.#cluster;
    const labelled = set.query.pods.pods.anchors?.flatMap((pair) => labels.get(pair) ?? []);
    if (!labelled) return set.scope.namespaces;
    let inNamespaces = 0;
    for (const namespace of set.scope.namespaces) inNamespaces += namespace.pods.size;
    return labelled.reduce((n, l) => n + l.pods.size, 0) < inNamespaces ? labelled : set.scope.namespaces;
  }
}

/** Files a set in its scope, or takes it out; empty files go. */
function file(set: PeerSet, change: (sets: Set<PeerSet>) => void): void {
  const { scope, query } = set;
  const under = (index: Map<string, Set<PeerSet>>, key: string): void => {
    const sets = index.get(key) ?? new Set();
    change(sets);
    if (sets.size > 0) index.set(key, sets);
    else index.delete(key);
  };
  change(scope.sets);
  const { anchors } = query.pods.pods;
  if (anchors) for (const pair of anchors) under(scope.byLabel, pair);
  else if (query.port) under(scope.byPort, query.port.name);
  else change(scope.rest);
}

function link(index: ScopeIndex, namespace: NamespaceRecord): void {
  index.namespaces.add(namespace);
  namespace.scopes.add(index);
}

function unlink(index: ScopeIndex, namespace: NamespaceRecord): void {
  index.namespaces.delete(namespace);
  namespace.scopes.delete(index);
}

/** Those of `elements` that `from` lacks. */
function missing(elements: readonly SetElement[], from: readonly SetElement[] = []): readonly SetElement[] {
  if (elements === from) return [];
  if (from.length === 0) return elements;
  const keys = new Set(from.map(elementKey));
  return elements.filter((e) => !keys.has(elementKey(e)));
}
