import type { EgressState } from "../../../egress/api.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type RouteValue,
  type RuleValue,
  routeKey,
  ruleKey,
  type SysctlValue,
  sysctlKey,
  VXLAN_LINK,
} from "../../../models/linux.ts";
import { type NftElementValue, nftElementKey } from "../../../models/nft.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";
import { networkElement } from "../nodes/nft-base.ts";
import { egressBase } from "./base.ts";
import { EGRESS_MARK, EGRESS_MARK_MASK, EGRESS_SETS, egressMark } from "./names.ts";

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
const EVERYTHING = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** Before the main table's (32766). */
const LEAD_RULE = 10_400;
const REFUSE_RULE = 10_401;

/** A way to another node: what it consists of, and by which mark packets are led there, if by any. */
export interface Lead {
  readonly items: readonly KeyValue[];
  readonly mark?: number;
}

/**
 * Pods' addresses in sets, and for each node that some are led to a routing table, which a mark leads to. A marked packet never
 * gets to the main table.
 */
export function* renderEgress(state: EgressState): Iterable<KeyValue> {
  yield* egressBase({ seesAnswers: true });
  const { local } = state;
  for (const family of FAMILIES) yield rule({ ...REFUSAL, family });
  if (local.overlay.kind === "vxlan" && state.gateways.length > 0) yield looseCheck();
  yield* egressElements(state, (gateway, family) => leadBy(gateway, family, local));
}

const REFUSAL = { priority: REFUSE_RULE, mark: EGRESS_MARK, mask: EGRESS_MARK_MASK } as const;

/** Undefined where the node can't be reached by the family. */
function leadBy(gateway: PeerRow, family: Family, local: LocalNodeRow): Lead | undefined {
  const isOfFamily = (ip: string): boolean => ip.includes(":") === (family === 6);
  const isOverlay = local.overlay.kind === "vxlan";
  const link = isOverlay ? VXLAN_LINK : local.uplinks.find(({ address }) => isOfFamily(address))?.link;
  const hop = (isOverlay ? gateway.vtepIps : gateway.underlayIps).find(isOfFamily);
  if (link === undefined || hop === undefined) return undefined;
  const mark = egressMark(gateway.id);
  const route: RouteValue = {
    link,
    end: "node",
    type: "unicast",
    dst: EVERYTHING[family],
    gateway: hop,
    table: mark,
    ...(isOverlay ? { onLink: true } : {}),
  };
  const lead: RuleValue = { family, priority: LEAD_RULE, mark, table: mark };
  return { items: [{ key: routeKey(route), value: route }, rule(lead)], mark };
}

/** Answers come by the overlay from addresses that the node's routes find elsewhere, which a strict check would drop. */
function looseCheck(): KeyValue {
  const name = `net/ipv4/conf/${VXLAN_LINK}/rp_filter`;
  const value: SysctlValue = { name, value: "2", after: [], link: VXLAN_LINK };
  return { key: sysctlKey(name), value };
}

/** What a pod waits for. */
export function* podEgressKeys(ips: readonly string[]): Iterable<Key> {
  for (const ip of ips) yield nftElementKey(EGRESS_SETS.pods[ip.includes(":") ? 6 : 4], ip);
}

/** The elements of the sets, the ways that are used, and what elements wait for: without it, their pods have no way. */
export function* egressElements(
  { kept, peerCIDRs, gateways, rows }: EgressState,
  leadBy: (gateway: PeerRow, family: Family) => Lead | undefined,
): Iterable<KeyValue> {
  for (const cidr of kept) yield networkElement(EGRESS_SETS.kept, cidr);
  for (const cidr of peerCIDRs) yield networkElement(EGRESS_SETS.peers, cidr);
  const leads = new Map<string, Lead | undefined>();
  for (const gateway of gateways) {
    for (const family of FAMILIES) leads.set(`${gateway.name}/${family}`, leadBy(gateway, family));
  }
  for (const lead of leads.values()) yield* lead?.items ?? [];
  for (const { pod, way } of rows) {
    const family = familyOf(pod);
    yield element(EGRESS_SETS.pods[family], pod);
    if (way.to === "here") yield* openItems(pod, way.source, []);
    const lead = way.to === "peer" ? leads.get(`${way.peer}/${family}`) : undefined;
    if (!lead) continue;
    const { items, mark } = lead;
    if (mark !== undefined) yield element(EGRESS_SETS.marks[family], pod, String(mark));
    const requires = items.map(({ key }) => key);
    yield* openItems(pod, pod, mark === undefined ? requires : [...requires, ruleKey({ ...REFUSAL, family })]);
  }
}

function* openItems(pod: string, source: string, requires: readonly Key[]): Iterable<KeyValue> {
  const family = familyOf(pod);
  yield element(EGRESS_SETS.sources[family], pod, source);
  yield element(EGRESS_SETS.pairs[family], `${pod} . ${source}`);
  yield element(EGRESS_SETS.open[family], pod, undefined, requires);
}

function element(set: string, key: string, data?: string, requires: readonly Key[] = []): KeyValue {
  const value: NftElementValue = {
    set,
    key,
    ...(data === undefined ? {} : { data }),
    ...(requires.length === 0 ? {} : { requires }),
  };
  return { key: nftElementKey(set, key), value };
}

const familyOf = (ip: string): Family => (ip.includes(":") ? 6 : 4);
const rule = (value: RuleValue): KeyValue => ({ key: ruleKey(value), value });
