import type { IpAddress } from "../../../base/ip/address.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type SctpRulesValue, sctpKey, sctpRuleText } from "../../../models/vpp/sctp.ts";
import type { Direction, PodPolicyRow, PolicyChanges, PolicyItem, TableId } from "../../../policy/api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { Networks } from "./networks.ts";
import type { Prefix } from "./prefix.ts";
import type { Run } from "./runs.ts";
import { sctpRules } from "./sctp.ts";

const DIRECTIONS = ["egress", "ingress"] as const;

/** What rules of SCTP are made of. */
export interface SctpLists {
  /** The node's addresses, which always reach its pods. */
  readonly node: readonly Prefix[];
  /** Of a table, as one list. */
  readonly runs: (id: TableId) => readonly Run[];
}

/** Items of pods' addresses; there is one for each, so that interfaces can wait for it. */
export const sctpKeys = (ips: readonly string[]): Key[] =>
  ips.flatMap((address) => DIRECTIONS.map((direction) => sctpKey({ direction, address })));

/** Rules of SCTP, by the pods' addresses. Keeps the rows, so that a change of a table is one of their addresses. */
export class SctpRenderer {
  /** By ID. */
  readonly #rows = new Map<string, PodPolicyRow>();
  readonly #byAddress = new Map<IpAddress, Set<string>>();

  all(rows: readonly PodPolicyRow[], lists: SctpLists): KeyValue[] {
    this.#rows.clear();
    this.#byAddress.clear();
    for (const row of rows) this.#add(row);
    const rules = new Rules(lists);
    return [...this.#byAddress.keys()].flatMap((address) => this.#items(address, rules));
  }

  /** `isStale`: tables whose runs have changed. */
  change(pods: PolicyChanges["pods"], isStale: (id: TableId) => boolean, lists: SctpLists): PolicyItem[] {
    const touched = new Set<IpAddress>();
    for (const { old, new: row } of pods) {
      if (old) this.#remove(old);
      if (row) this.#add(row);
      for (const ip of [...(old?.ips ?? []), ...(row?.ips ?? [])]) touched.add(ip);
    }
    for (const { egress, ingress, ips } of this.#rows.values()) {
      if (isStale(egress) || isStale(ingress)) for (const ip of ips) touched.add(ip);
    }
    const rules = new Rules(lists);
    return [...touched].flatMap((address): PolicyItem[] => {
      const items = this.#items(address, rules);
      return items.length > 0 ? items : sctpKeys([address]).map((key) => ({ key, value: undefined }));
    });
  }

  #items(address: IpAddress, rules: Rules): KeyValue[] {
    const rows = [...(this.#byAddress.get(address) ?? [])].flatMap((id) => this.#rows.get(id) ?? []);
    if (rows.length === 0) return [];
    return DIRECTIONS.map((direction) => {
      const wanted = rows.map((row) => rules.of(row, direction, address));
      const [first = []] = wanted;
      // Nobody knows which of them it is, so nothing passes that one of them may not.
      const isOne = wanted.length === 1 || wanted.every((texts) => texts.join() === first.join());
      return item(sctpKey, { direction, address, rules: isOne ? first : NOTHING[isIpv6(address) ? 6 : 4] });
    });
  }

  #add(row: PodPolicyRow): void {
    this.#rows.set(row.id, row);
    for (const ip of row.ips) this.#byAddress.set(ip, (this.#byAddress.get(ip) ?? new Set()).add(row.id));
  }

  #remove(row: PodPolicyRow): void {
    this.#rows.delete(row.id);
    for (const ip of row.ips) {
      const ids = this.#byAddress.get(ip);
      ids?.delete(row.id);
      if (ids?.size === 0) this.#byAddress.delete(ip);
    }
  }
}

const nothing = (peer: string): SctpRulesValue["rules"] => [sctpRuleText({ kind: "rest", peer, port: 0, bits: 0 })];
const NOTHING = { 4: nothing("0.0.0.0/0"), 6: nothing("::/0") } as const;

/** Makes the rules of each pair of tables once. */
class Rules {
  readonly #lists: SctpLists;
  readonly #known = new Map<string, readonly string[]>();

  constructor(lists: SctpLists) {
    this.#lists = lists;
  }

  of(row: PodPolicyRow, direction: Direction, address: IpAddress): readonly string[] {
    const same = row.ips.filter((ip) => isIpv6(ip) === isIpv6(address));
    const self = same.map((ip) => sctpRuleText({ kind: "self", peer: hostCidr(ip), port: 0, bits: 0 }));
    return [...self, ...this.#tables(row, direction, isIpv6(address) ? 6 : 4)];
  }

  #tables({ egress, ingress }: PodPolicyRow, direction: Direction, family: 4 | 6): readonly string[] {
    const key = `${egress} ${ingress} ${direction} ${family}`;
    let rules = this.#known.get(key);
    if (!rules) {
      const { node, runs } = this.#lists;
      const own = node.map((prefix): Run => ({ verdict: "accept", networks: Networks.one(prefix) }));
      const lists = { egress: runs(egress), ingress: [...own, ...runs(ingress)] };
      const other = direction === "egress" ? "ingress" : "egress";
      rules = sctpRules(family, { begun: lists[direction], answers: lists[other] }) ?? [];
      this.#known.set(key, rules);
    }
    return rules;
  }
}
