import type { ClusterNetworkPolicy } from "../../models/k8s/cluster-network-policy.ts";
import { type Entry, isUnreadable } from "../../models/k8s/entry.ts";
import type { ObjectName } from "../../models/k8s/keys.ts";
import type { NetworkPolicy } from "../../models/k8s/network-policy.ts";
import type { Change, PolicyProblems } from "../api.ts";
import { compileClusterNetworkPolicy, unreadableClusterNetworkPolicy } from "../compile/cluster-network-policy.ts";
import { type CompiledPolicy, comparePolicies, compareRefs } from "../compile/compiled.ts";
import { compileNetworkPolicy, unreadableNetworkPolicy } from "../compile/network-policy.ts";
import { selects } from "./query.ts";
import { type PodRecord } from "./records.ts";

/** A policy before and after an event. */
export type PolicyChange = Change<CompiledPolicy>;

interface PolicyRecord {
  /** The object's content, to recognise one that has not changed. */
  readonly source: string;
  readonly compiled: CompiledPolicy;
}

/** The policies, checked, by the namespace of the pods that they can select. */
export class Policies {
  readonly #cluster = new Map<string, PolicyRecord>();
  readonly #byNamespace = new Map<string, Map<string, PolicyRecord>>();
  readonly #problems = new Map<string, Change<PolicyProblems>>();

  putNetworkPolicy({ namespace, name }: ObjectName, object: Entry<NetworkPolicy>): PolicyChange | undefined {
    let records = this.#byNamespace.get(namespace);
    if (!records) this.#byNamespace.set(namespace, (records = new Map()));
    const change = this.#put(records, name, object, (o) =>
      // Where it lies decides, not what it says.
      isUnreadable(o)
        ? unreadableNetworkPolicy(namespace, name, o.unreadable)
        : compileNetworkPolicy({ ...o, namespace, name }),
    );
    if (records.size === 0) this.#byNamespace.delete(namespace);
    return change;
  }

  putClusterNetworkPolicy({ name }: ObjectName, object: Entry<ClusterNetworkPolicy>): PolicyChange | undefined {
    return this.#put(this.#cluster, name, object, (o) =>
      isUnreadable(o)
        ? unreadableClusterNetworkPolicy(name, o.unreadable)
        : compileClusterNetworkPolicy({ ...o, name }),
    );
  }

  /** In no particular order. */
  *all(): Generator<CompiledPolicy> {
    for (const { compiled } of this.#cluster.values()) yield compiled;
    for (const records of this.#byNamespace.values()) for (const { compiled } of records.values()) yield compiled;
  }

  /** Those that select the pod, in no particular order. */
  *selecting(pod: PodRecord): Generator<CompiledPolicy> {
    for (const records of [this.#cluster, this.#byNamespace.get(pod.namespace.name)]) {
      for (const { compiled } of records?.values() ?? []) if (selects(compiled.subject, pod)) yield compiled;
    }
  }

  problems(): PolicyProblems[] {
    return [...this.all()].flatMap((p) => problemsOf(p) ?? []).sort((a, b) => compareRefs(a.policy, b.policy));
  }

  takeProblemChanges(): Change<PolicyProblems>[] {
    const changes = [...this.#problems.values()];
    this.#problems.clear();
    return changes
      .filter((c) => JSON.stringify(c.old) !== JSON.stringify(c.new))
      .map((c) => ({ change: c, ref: (c.new ?? c.old)?.policy }))
      .sort((a, b) => (a.ref && b.ref ? compareRefs(a.ref, b.ref) : 0))
      .map(({ change }) => change);
  }

  #put<T extends object>(
    records: Map<string, PolicyRecord>,
    name: string,
    object: Entry<T>,
    compile: (o: T | { readonly unreadable: string }) => CompiledPolicy,
  ): PolicyChange | undefined {
    const old = records.get(name);
    let record: PolicyRecord | undefined;
    if (object) {
      const source = JSON.stringify(object);
      if (old?.source === source) return undefined;
      record = { source, compiled: compile(object) };
      records.set(name, record);
    } else {
      if (!old) return undefined;
      records.delete(name);
    }
    this.#noteProblems(old?.compiled, record?.compiled);
    return { old: old?.compiled, new: record?.compiled };
  }

  #noteProblems(old: CompiledPolicy | undefined, now: CompiledPolicy | undefined): void {
    const ref = (now ?? old)?.ref;
    if (!ref) return;
    const key = JSON.stringify([ref.kind, ref.namespace, ref.name]);
    const before = this.#problems.get(key);
    this.#problems.set(key, {
      old: before ? before.old : old && problemsOf(old),
      new: now && problemsOf(now),
    });
  }
}

const problemsOf = ({ ref, problems }: CompiledPolicy): PolicyProblems | undefined =>
  problems.length === 0 ? undefined : { policy: ref, problems };

/** In the order of evaluation. */
export const inOrder = (policies: Iterable<CompiledPolicy>): CompiledPolicy[] => [...policies].sort(comparePolicies);
