import { familyOf, type IpAddress, type IpFamily } from "../../../base/ip/address.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type NftChainValue,
  type NftElementValue,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../models/nft.ts";
import type {
  PodPolicyRow,
  PolicyChanges,
  PolicyItem,
  PolicyRows,
  PolicyView,
  RuleTable,
  SetElement,
  SetId,
  SetKind,
} from "../../../policy/api.ts";
import { DENIED_PODS, POD_LINKS, POD_MAPS, POD_SOURCES, setName, tierChain } from "./names.ts";
import { tableChains } from "./tables.ts";

/** Policies as nftables items: a chain for each tier of a table, a set for each family of a set, an element for each pod. */
export function* renderPolicies(rows: PolicyRows): Iterable<KeyValue> {
  const tables = new Map(rows.tables.map((table) => [table.id, table]));
  for (const { id, kind, family, elements } of rows.sets) {
    yield setItem(id, kind, family);
    for (const element of elements) yield elementItem(setName(id, family), element);
  }
  for (const table of rows.tables) yield* chainItems(table);
  for (const pod of rows.pods) yield* podItems(pod, (id) => tables.get(id));
}

/** The items that a change touches; without a value they go. */
export function* renderPolicyChanges(changes: PolicyChanges, view: PolicyView): Iterable<PolicyItem> {
  for (const { id, kind, family, what, added, removed } of changes.sets) {
    const name = setName(id, family);
    if (what === "deleted") {
      yield gone(nftSetKey(name));
      // Elements go with their set, but the scheduler has to be told of each.
      for (const element of removed) yield gone(elementItem(name, element).key);
      continue;
    }
    if (what === "created") yield setItem(id, kind, family);
    for (const element of removed) yield gone(elementItem(name, element).key);
    for (const element of added) yield elementItem(name, element);
  }
  for (const { old, new: table } of changes.tables) {
    if (old) for (const i of old.tiers.keys()) yield gone(nftChainKey(tierChain(old.id, i)));
    if (table) yield* chainItems(table);
  }
  for (const { old, new: row } of changes.pods) {
    if (row) yield* podItems(row, (id) => view.table(id));
    const still = new Set(row ? row.sources : []);
    for (const address of old?.sources ?? []) {
      if (old && !still.has(address)) yield gone(sourceItem(old.id, address).key);
    }
    if (old && !row) for (const key of podPolicyKeys(old.id)) yield gone(key);
  }
}

/** What must be in force before a pod's link may carry anything. */
export const podPolicyKeys = (link: string): readonly Key[] =>
  [...Object.values(POD_MAPS), POD_LINKS, ...Object.values(DENIED_PODS)].map((set) => nftElementKey(set, link));

/** Of the link of a pod: those of all the pod's interfaces, since what it answers may leave by another one. */
const sourceItem = (link: string, address: IpAddress): KeyValue =>
  element({ set: POD_SOURCES[familyOf(address)], key: `${link} . ${address}` });

function* podItems(row: PodPolicyRow, tableOf: (id: RuleTable["id"]) => RuleTable | undefined): Iterable<KeyValue> {
  for (const direction of ["egress", "ingress"] as const) {
    const table = tableOf(row[direction]);
    if (!table) throw new Error(`${row.id} has an unknown table ${row[direction]}`);
    const set = POD_MAPS[direction];
    // A table without tiers has no chain: everything is accepted.
    const data = table.tiers.length === 0 ? "continue" : `jump ${tierChain(table.id, 0)}`;
    yield element({ set, key: row.id, data });
  }
  for (const set of [POD_LINKS, ...Object.values(DENIED_PODS)]) yield element({ set, key: row.id });
  for (const address of row.sources) yield sourceItem(row.id, address);
}

function* chainItems(table: RuleTable): Iterable<KeyValue> {
  for (const value of tableChains(table)) yield chain(value);
}

function setItem(id: SetId, kind: SetKind, family: IpFamily): KeyValue {
  const address = family === 4 ? "ipv4_addr" : "ipv6_addr";
  const name = setName(id, family);
  const type = kind === "addresses" ? address : `${address} . inet_proto . inet_service`;
  return { key: nftSetKey(name), value: { kind: "set", name, type } satisfies NftSetValue };
}

function elementItem(set: string, { ip, protocol, port }: SetElement): KeyValue {
  const key = protocol === undefined ? ip : `${ip} . ${protocol.toLowerCase()} . ${port}`;
  return element({ set, key });
}

const element = (value: NftElementValue): KeyValue => ({ key: nftElementKey(value.set, value.key), value });
const gone = (key: Key): PolicyItem => ({ key, value: undefined });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
