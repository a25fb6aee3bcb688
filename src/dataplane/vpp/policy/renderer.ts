import type { IpAddress } from "../../../base/ip/address.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AclInterfaceValue, aclInterfaceKey, aclKey } from "../../../models/vpp/acl.ts";
import { flowFilterKey } from "../../../models/vpp/flow-filter.ts";
import { vppRouteKey } from "../../../models/vpp/l3.ts";
import { type SourceCheckValue, sourceCheckKey } from "../../../models/vpp/urpf.ts";
import type {
  PodPolicyRow,
  PolicyChanges,
  PolicyItem,
  PolicyRows,
  PolicyView,
  RuleTable,
  SetId,
  TableId,
} from "../../../policy/api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { type PolicyNodeContext, policyBase } from "./base.ts";
import { flatten, ofSctp, withoutSctp } from "./flatten.ts";
import { selfAcl, tableAcl } from "./lists.ts";
import { COMMON_LISTS, SOURCES_VRF, selfList, tableList } from "./names.ts";
import { type Prefix, prefixOf } from "./prefix.ts";
import { areSame, type Run } from "./runs.ts";
import { type SctpLists, SctpRenderer, sctpKeys } from "./sctp-renderer.ts";
import { Sets } from "./sets.ts";

/**
 * Policies as lists of the ACL plugin, one for each table; sets are part of the lists that use them. Keeps what it has
 * rendered last, so that a change of a set is a change of those lists.
 */
export class PolicyRenderer {
  readonly #node: () => PolicyNodeContext;
  readonly #tables = new Map<TableId, RuleTable>();
  readonly #bySet = new Map<SetId, Set<TableId>>();
  readonly #sets = new Sets();
  /** What tables say of SCTP. */
  readonly #sctpRuns = new Map<TableId, readonly Run[]>();
  readonly #sctp = new SctpRenderer();
  /**
   * No table of these is left, and their lists go with the next change: a list that went together with the change of the
   * interfaces that have it would take them down before.
   */
  readonly #retired = new Set<TableId>();
  /** IDs of the wirings that may send from an address. */
  readonly #senders = new Map<IpAddress, Set<string>>();

  constructor(node: () => PolicyNodeContext) {
    this.#node = node;
  }

  policyBase(): Iterable<KeyValue> {
    return policyBase(this.#node());
  }

  renderPolicies({ tables, sets, pods }: PolicyRows): Iterable<KeyValue> {
    for (const known of [this.#tables, this.#bySet, this.#sctpRuns, this.#senders, this.#retired]) known.clear();
    this.#sets.replace(sets);
    const ownNode = this.#ownNode();
    const lists = tables.map((table) => {
      this.#learn(table);
      return this.#list(table, ownNode);
    });
    for (const row of pods) this.#addRow(row);
    const sources = [...this.#senders.keys()].flatMap((address) => this.#source(address) ?? []);
    return [
      ...lists,
      ...pods.flatMap((row) => [...this.#podItems(row)]),
      ...sources,
      ...this.#sctp.all(pods, this.#sctpLists()),
    ];
  }

  renderPolicyChanges({ tables, sets, pods }: PolicyChanges, view: PolicyView): Iterable<PolicyItem> {
    const items: PolicyItem[] = [];
    const stale = new Set<TableId>();
    for (const { new: table } of tables) if (table) this.#retired.delete(table.id);
    for (const id of this.#retired) items.push(gone(aclKey(tableList(id))));
    this.#retired.clear();
    for (const { id } of sets) for (const table of this.#bySet.get(id) ?? []) stale.add(table);
    for (const { old, new: table } of tables) {
      if (old) {
        this.#unlearn(old);
        stale.delete(old.id);
        this.#retired.add(old.id);
      }
      if (table) {
        this.#learn(table);
        stale.add(table.id);
      }
    }
    this.#sets.change(sets, view);
    const ownNode = this.#ownNode();
    const staleSctp = new Set<TableId>();
    for (const id of stale) {
      const table = this.#tables.get(id);
      if (!table) continue;
      const before = this.#sctpRuns.get(id);
      items.push(this.#list(table, ownNode));
      if (!before || !areSame(before, this.#sctpRuns.get(id) ?? [])) staleSctp.add(id);
    }
    const changes = this.#rowChanges(pods);
    return [...items, ...changes, ...this.#sctp.change(pods, (id) => staleSctp.has(id), this.#sctpLists())];
  }

  /** What must be in force before the pod's interface forwards. */
  podPolicyKeys(id: string): readonly Key[] {
    const checks = ([4, 6] as const).map((family) => sourceCheckKey({ interface: id, family }));
    return [aclInterfaceKey(id), flowFilterKey(id), ...checks];
  }

  #rowChanges(pods: PolicyChanges["pods"]): PolicyItem[] {
    const before = new Map<Key, unknown>();
    const after = new Map<Key, unknown>();
    const addresses = new Set(pods.flatMap(({ old, new: row }) => [...(old?.sources ?? []), ...(row?.sources ?? [])]));
    const collect = (into: Map<Key, unknown>, rows: Iterable<PodPolicyRow | undefined>): void => {
      for (const row of rows) if (row) for (const { key, value } of this.#podItems(row)) into.set(key, value);
      for (const address of addresses) {
        const source = this.#source(address);
        if (source) into.set(source.key, source.value);
      }
    };
    collect(
      before,
      pods.map(({ old }) => old),
    );
    for (const { old, new: row } of pods) {
      if (old) this.#removeRow(old);
      if (row) this.#addRow(row);
    }
    collect(
      after,
      pods.map(({ new: row }) => row),
    );
    const left = [...before.keys()].filter((key) => !after.has(key)).map(gone);
    return [...[...after].map(([key, value]) => ({ key, value })), ...left];
  }

  *#podItems(row: PodPolicyRow): Iterable<KeyValue> {
    const { id, sources } = row;
    yield item((v) => aclKey(v.name), selfAcl(row));
    const lists: AclInterfaceValue = {
      interface: id,
      input: [COMMON_LISTS.egress, selfList(id), tableList(row.egress)],
      output: [COMMON_LISTS.ingress, selfList(id), tableList(row.ingress)],
    };
    yield item((v) => aclInterfaceKey(v.interface), lists);
    yield item((v) => flowFilterKey(v.interface), { interface: id, isPod: true });
    for (const family of [4, 6] as const) {
      const routes = sources.filter((ip) => isIpv6(ip) === (family === 6)).map(sourceRoute);
      const rules = sctpKeys(row.ips.filter((ip) => isIpv6(ip) === (family === 6)));
      const check: SourceCheckValue = { interface: id, family, vrf: SOURCES_VRF, requires: [...routes, ...rules] };
      yield item(sourceCheckKey, check);
    }
  }

  /** Who may send from an address: all interfaces of its pod, since what it answers may leave by another one. */
  #source(address: IpAddress): KeyValue | undefined {
    const senders = this.#senders.get(address);
    if (!senders) return undefined;
    const paths = [...senders].toSorted().map((id) => ({ type: "via" as const, interface: id }));
    return item(vppRouteKey, { vrf: SOURCES_VRF, dst: hostCidr(address), paths });
  }

  #addRow(row: PodPolicyRow): void {
    for (const address of row.sources) {
      const senders = this.#senders.get(address) ?? new Set();
      this.#senders.set(address, senders.add(row.id));
    }
  }

  #removeRow(row: PodPolicyRow): void {
    for (const address of row.sources) {
      const senders = this.#senders.get(address);
      senders?.delete(row.id);
      if (senders?.size === 0) this.#senders.delete(address);
    }
  }

  #learn(table: RuleTable): void {
    this.#tables.set(table.id, table);
    for (const set of setsOf(table)) this.#bySet.set(set, (this.#bySet.get(set) ?? new Set()).add(table.id));
  }

  #unlearn(table: RuleTable): void {
    this.#tables.delete(table.id);
    this.#sctpRuns.delete(table.id);
    for (const set of setsOf(table)) {
      const users = this.#bySet.get(set);
      users?.delete(table.id);
      if (users?.size === 0) this.#bySet.delete(set);
    }
  }

  #sctpLists(): SctpLists {
    return { node: this.#ownNode(), runs: (id) => this.#sctpRuns.get(id) ?? [] };
  }

  #list(table: RuleTable, ownNode: readonly Prefix[]): KeyValue {
    const runs = flatten(table, { set: (id) => this.#sets.of(id), ownNode });
    this.#sctpRuns.set(table.id, ofSctp(runs));
    return item((v) => aclKey(v.name), tableAcl(table, withoutSctp(runs)));
  }

  #ownNode(): readonly Prefix[] {
    const { addresses, linkAddresses } = this.#node();
    return [...addresses, ...linkAddresses].map((ip) => prefixOf(hostCidr(ip)));
  }
}

const sourceRoute = (address: string): Key => vppRouteKey({ vrf: SOURCES_VRF, dst: hostCidr(address) });
const gone = (key: Key): PolicyItem => ({ key, value: undefined });

const setsOf = ({ tiers }: RuleTable): Set<SetId> =>
  new Set(tiers.flatMap(({ rules }) => rules.flatMap(({ peer }) => ("set" in peer ? [peer.set] : []))));
