import type { IpAddress } from "../base/ip/address.ts";
import { readable } from "../models/k8s/entry.ts";
import {
  type Change,
  type Direction,
  type Isolation,
  type JudgedPacket,
  type Judgement,
  judge,
  type ObjectName,
  type PodPolicyRow,
  type PolicyChanges,
  type PolicyInput,
  type PolicyRows,
  type PolicyView,
  type RuleTable,
  type SetChange,
  type SetId,
  type SetRow,
  type TableId,
} from "./api.ts";
import { type CompiledPolicy, compareRefs } from "./compile/compiled.ts";
import { Cluster, podKey } from "./index/cluster.ts";
import { PeerSets } from "./index/peer-sets.ts";
import { inOrder, Policies, type PolicyChange } from "./index/policies.ts";
import { selects } from "./index/query.ts";
import { isolationOf, type LocalRecord } from "./index/records.ts";
import type { BuildOptions } from "./tables/build.ts";
import { TableStore } from "./tables/store.ts";

export interface EngineOptions {
  /** Whose local pods they are; what explanations need to know the own node of a pod whose object is missing. */
  readonly node?: string;
  /**
   * Rules name their policies, for counters and logs. Then only pods with the same policies share tables; without it all
   * pods with equal rules do.
   */
  readonly attribute?: boolean;
  /** What becomes of a pod of which nothing has been seen (yet): it is isolated (default), or open. */
  readonly failMode?: "closed" | "open";
  /** NetworkPolicies don't keep pods from reaching their own node (default), or do. ClusterNetworkPolicies always can. */
  readonly ownNodeEgress?: "allow" | "judge";
}

export interface EngineStats {
  readonly pods: number;
  readonly policies: number;
  readonly locals: number;
  readonly isolated: number;
  readonly tables: number;
  readonly sets: number;
}

/** What a local wiring has in force. */
interface Wired {
  readonly selected: Set<CompiledPolicy>;
  row: PodPolicyRow | undefined;
}

/**
 * The policies of one node's pods. Takes the cluster's state as changes, and says what is to be in force: rows for the local
 * pods, the tables that they refer to, the sets that these refer to. An event costs what it touches: a pod somewhere in the
 * cluster costs the sets that it is in, a policy the local pods that it selects.
 *
 * Pure: no clock, no I/O; the same state gives the same {@link rows}, whatever the history.
 */
export class PolicyEngine implements PolicyView {
  /** Of the indexes; for ./explain.ts and ./lint.ts. */
  readonly cluster = new Cluster();
  readonly policies = new Policies();
  readonly options: BuildOptions;
  readonly node: string | undefined;
  readonly #opensUnknown: boolean;
  readonly #sets: PeerSets;
  readonly #tables: TableStore;
  readonly #wired = new Map<LocalRecord, Wired>();
  /** Wirings whose selection is right but whose table may not be. */
  readonly #rebuild = new Set<LocalRecord>();

  constructor({ attribute = false, failMode = "closed", ownNodeEgress = "allow", node }: EngineOptions = {}) {
    this.node = node;
    this.#opensUnknown = failMode === "open";
    this.options = { attribute, ownNodeEgress: ownNodeEgress === "allow" };
    this.#sets = new PeerSets(this.cluster);
    this.#tables = new TableStore(this.#sets, this.options);
  }

  /** Takes changes that belong together, and returns what they amount to. */
  apply(inputs: Iterable<PolicyInput>): PolicyChanges {
    for (const input of inputs) this.#take(input);
    this.#sets.refresh();
    const pods: Change<PodPolicyRow>[] = [];
    for (const local of this.cluster.dirty.locals) pods.push(...this.#reselect(local));
    for (const local of this.#rebuild) pods.push(...this.#build(local));
    this.#rebuild.clear();
    const tables = this.#tables.takeChanges();
    const sets = this.#sets.takeChanges().sort(bySet);
    this.cluster.sweep();
    return { pods: mergedRows(pods), tables, sets, problems: this.policies.takeProblemChanges() };
  }

  /** Everything that is to be in force. */
  rows(): PolicyRows {
    return {
      pods: [...this.#wired.values()].flatMap((w) => w.row ?? []).sort((a, b) => (a.id < b.id ? -1 : 1)),
      tables: this.#tables.all(),
      sets: [...this.#sets.all()].flatMap((s) => s.rows()).sort(bySet),
      problems: this.policies.problems(),
    };
  }

  table(id: TableId): RuleTable | undefined {
    return this.#tables.get(id);
  }

  /** Both families; none if no table uses it. */
  set(id: SetId): readonly SetRow[] {
    return this.#sets.get(id)?.rows() ?? [];
  }

  /** Of all local wirings. */
  podRows(): PodPolicyRow[] {
    return [...this.#wired.values()].flatMap((w) => w.row ?? []);
  }

  /** Why a pod that was wired here now would be isolated; undefined if its policies are known. */
  isolation(pod: ObjectName & { readonly uid?: string | undefined }): Isolation | undefined {
    const known = this.cluster.pods.get(podKey(pod));
    return known ? isolationOf(known, { ...pod, id: "", ips: [] }) : "no-object";
  }

  /** Whether a pod is open although its policies can't be known. An object that can't be read always closes. */
  isOpenThough(unknown: Isolation): boolean {
    return this.#opensUnknown && (unknown === "no-object" || unknown === "no-namespace");
  }

  /** The row of one local wiring. */
  row(id: string): PodPolicyRow | undefined {
    const local = this.cluster.locals.get(id);
    return local && this.#wired.get(local)?.row;
  }

  /**
   * What is to become of a connection at a local wiring, by its first packet: what judges established connections again.
   * Undefined if there is no such wiring.
   */
  verdict(
    id: string,
    direction: Direction,
    packet: JudgedPacket,
    isOwnNode: (ip: IpAddress) => boolean,
  ): Judgement | undefined {
    const row = this.row(id);
    const table = row && this.#tables.get(row[direction]);
    if (!row || !table) return undefined;
    const { peer: ip, protocol, port } = packet;
    if (row.ips.includes(ip) || (direction === "ingress" && isOwnNode(ip))) return { verdict: "accept" };
    const inSet = (set: SetId): boolean => {
      const found = this.#sets.get(set);
      if (!found) return false;
      if (!found.query.port) return found.has({ ip });
      return protocol !== undefined && found.has({ ip, protocol, port });
    };
    return judge(table, packet, { isOwnNode, inSet });
  }

  stats(): EngineStats {
    const wired = [...this.#wired.values()];
    return {
      pods: this.cluster.pods.size,
      policies: [...this.policies.all()].length,
      locals: wired.length,
      isolated: wired.filter((w) => w.row?.isolated).length,
      tables: this.#tables.size,
      sets: this.#sets.size,
    };
  }

  #take(input: PolicyInput): void {
    switch (input.kind) {
      case "pod":
        return this.cluster.putPod(input.at, input.object);
      case "namespace":
        return this.cluster.putNamespace(input.at.name, input.object);
      case "node":
        return this.cluster.putNode(input.at.name, input.object);
      case "local":
        return this.cluster.putLocal(input.id, input.object);
      case "networkpolicy":
        return this.#policyChanged(this.policies.putNetworkPolicy(input.at, input.object));
      case "clusternetworkpolicy":
        return this.#policyChanged(this.policies.putClusterNetworkPolicy(input.at, input.object));
    }
  }

  #policyChanged(change: PolicyChange | undefined): void {
    if (!change) return;
    for (const [local, { selected }] of this.#wired) {
      const was = change.old !== undefined && selected.delete(change.old);
      const is =
        change.new !== undefined &&
        isolationOf(local.pod, local.object) === undefined &&
        selects(change.new.subject, local.pod);
      if (is && change.new) selected.add(change.new);
      if (was || is) this.#rebuild.add(local);
    }
  }

  #reselect(local: LocalRecord): Change<PodPolicyRow>[] {
    this.#rebuild.delete(local);
    const wired = this.#wired.get(local);
    if (this.cluster.locals.get(local.object.id) !== local) {
      this.#wired.delete(local);
      if (!wired?.row) return [];
      this.#release(wired.row);
      return [{ old: wired.row, new: undefined }];
    }
    const known = isolationOf(local.pod, local.object) === undefined;
    const selected = new Set(known ? this.policies.selecting(local.pod) : []);
    this.#wired.set(local, { selected, row: wired?.row });
    return this.#build(local);
  }

  #build(local: LocalRecord): Change<PodPolicyRow>[] {
    const wired = this.#wired.get(local);
    if (!wired) return [];
    const { id, namespace, name, ips, sources = ips } = local.object;
    const unknown = isolationOf(local.pod, local.object);
    const isOpen = unknown !== undefined && this.isOpenThough(unknown);
    const isolated = isOpen ? undefined : unknown;
    const policies = inOrder(wired.selected);
    const ports = readable(local.pod.object)?.ports ?? [];
    const table = (direction: Direction): TableId =>
      isolated ? this.#tables.acquireClosed(direction) : this.#tables.acquire(direction, policies, ports);
    const row: PodPolicyRow = {
      id,
      pod: { namespace, name },
      ips,
      sources,
      ingress: table("ingress"),
      egress: table("egress"),
      ...(isolated ? { isolated } : {}),
      ...(isOpen ? { openThough: unknown } : {}),
      policies: policies.map((p) => p.ref).sort(compareRefs),
    };
    const old = wired.row;
    wired.row = row;
    if (old) this.#release(old);
    return [{ old, new: row }];
  }

  #release(row: PodPolicyRow): void {
    this.#tables.release(row.ingress);
    this.#tables.release(row.egress);
  }
}

const bySet = (a: SetChange | { id: string; family: number }, b: { id: string; family: number }): number =>
  a.id < b.id ? -1 : a.id > b.id ? 1 : a.family - b.family;

/** One change for each row, without those that change nothing: a wiring can be replaced by one of the same ID. */
function mergedRows(changes: readonly Change<PodPolicyRow>[]): Change<PodPolicyRow>[] {
  const byId = new Map<string, Change<PodPolicyRow>>();
  for (const change of changes) {
    const id = (change.old ?? change.new)?.id ?? "";
    const before = byId.get(id);
    byId.set(id, { old: before?.old ?? change.old, new: change.new ?? before?.new });
  }
  return [...byId]
    .filter(([, c]) => JSON.stringify(c.old) !== JSON.stringify(c.new))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, c]) => c);
}
