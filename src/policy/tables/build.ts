import type { NamedPort } from "../../models/k8s/pod.ts";
import type { Direction, PortRange, Rule, RuleOrigin, RuleTable, SetId, TableId, Tier, TierName } from "../api.ts";
import { unionOf } from "../compile/blocks.ts";
import type { CompiledPolicy, CompiledRule } from "../compile/compiled.ts";
import { mergedPorts, portsText } from "../compile/ports.ts";
import { contentId, type SetQuery } from "../index/query.ts";
import { blocksPeer, type FlatPeer, type FlatRule, flatten, OWN_NODE } from "./flatten.ts";

/** A table and what its sets are to contain. */
export interface BuiltTable {
  readonly table: RuleTable;
  readonly queries: ReadonlyMap<SetId, SetQuery>;
  /** Of each tier, of each rule: whose it is. Only if {@link BuildOptions.origins}. */
  readonly origins: readonly (readonly (readonly RuleOrigin[])[])[];
}

export interface BuildOptions {
  /** Rules say whose they are: then equal rules of different policies are different. */
  readonly attribute: boolean;
  /** NetworkPolicies don't keep a pod from reaching its own node. */
  readonly ownNodeEgress: boolean;
  /** Tell whose the rules are, which changes nothing about them. */
  readonly origins?: boolean;
}

/**
 * The table of a pod that `policies`, in the order of evaluation, select. Rules that can't be reached are left out, and
 * rules whose order does not matter are merged and sorted, so that pods with the same rules have the same table.
 */
export function buildTable(
  direction: Direction,
  policies: readonly CompiledPolicy[],
  podPorts: readonly NamedPort[],
  options: BuildOptions,
): BuiltTable {
  const tiers: Tier[] = [];
  const origins: (readonly RuleOrigin[])[][] = [];
  const queries = new Map<SetId, SetQuery>();
  for (const name of ["Admin", "NetworkPolicy", "Baseline"] as const) {
    const own = policies.filter((p) => p.tier === name && p.rules[direction]);
    if (own.length === 0) continue;
    const { rules, final } = tierRules(name, own, direction, podPorts, options);
    for (const { peer } of rules) if (peer.query) queries.set(peer.query.id, peer.query);
    const end = name === "NetworkPolicy" ? "deny" : "next";
    if (rules.length > 0 || end === "deny") {
      tiers.push({ name, rules: rules.map(ruleOf), end });
      origins.push(rules.map((r) => r.origins ?? []));
    }
    if (final || end === "deny") break;
  }
  return { table: tableOf(direction, tiers), queries, origins };
}

/** Denies everything. */
export const closedTable = (direction: Direction): BuiltTable => ({
  table: tableOf(direction, [{ name: "NetworkPolicy", rules: [], end: "deny" }]),
  queries: new Map(),
  origins: [[]],
});

function tableOf(direction: Direction, tiers: readonly Tier[]): RuleTable {
  return { id: contentId("t", JSON.stringify([direction, tiers])) as TableId, direction, tiers };
}

const ruleOf = ({ verdict, peer: { peer }, ports, origin }: FlatRule): Rule =>
  origin ? { verdict, peer, ports, origin } : { verdict, peer, ports };

function tierRules(
  tier: TierName,
  policies: readonly CompiledPolicy[],
  direction: Direction,
  podPorts: readonly NamedPort[],
  { attribute, ownNodeEgress, origins = false }: BuildOptions,
): { rules: readonly FlatRule[]; final: boolean } {
  /** Each is a union: rules of the same verdict that follow each other. */
  const runs: FlatRule[][] = [];
  if (tier === "NetworkPolicy" && direction === "egress" && ownNodeEgress) {
    const [first] = policies;
    const origin = attribute && first ? { policy: first.ref, rule: -1 } : undefined;
    runs.push([{ verdict: "accept", peer: OWN_NODE, ports: [], origin }]);
  }
  for (const policy of policies) {
    for (const rule of policy.rules[direction] ?? []) {
      const plain = flatten(rule, direction, podPorts);
      const flat = attribute || origins ? named(plain, policy, rule, { attribute, origins }) : plain;
      const run = runs.at(-1);
      if (!attribute && run?.[0]?.verdict === rule.verdict) run.push(...flat);
      else if (flat.length > 0) runs.push(flat);
    }
  }
  const rules: FlatRule[] = [];
  for (const run of runs) {
    const merged = mergedRun(run);
    rules.push(...merged);
    const all = merged.find(matchesAll);
    // Nothing behind it is ever reached in this tier; in the next ones what an earlier rule passes on is.
    if (all) return { rules, final: rules.every((r) => r.verdict !== "pass") };
  }
  return { rules, final: false };
}

const matchesAll = (f: FlatRule): boolean => f.peer.peer.kind === "any" && f.ports.length === 0;

/** The union of rules with one verdict: sorted, one rule for each peer, networks with the same ports joined. */
function mergedRun(run: readonly FlatRule[]): FlatRule[] {
  const all = run.filter(matchesAll);
  const [any] = all;
  if (any) return [ofAll(any, all)];
  const byPeer = new Map<string, { rules: FlatRule[]; ports: PortRange[]; all: boolean }>();
  for (const rule of run) {
    const known = byPeer.get(rule.peer.text);
    if (known) {
      known.rules.push(rule);
      known.ports.push(...rule.ports);
      known.all ||= rule.ports.length === 0;
    } else {
      byPeer.set(rule.peer.text, { rules: [rule], ports: [...rule.ports], all: rule.ports.length === 0 });
    }
  }
  const blocks = new Map<string, FlatRule[]>();
  const out: FlatRule[] = [];
  for (const { rules, ...entry } of byPeer.values()) {
    const ports = entry.all ? [] : mergedPorts(entry.ports);
    const [first] = rules;
    if (!first) continue;
    const rule = { ...ofAll(first, rules), ports };
    if (!rule.peer.blocks) {
      out.push(rule);
      continue;
    }
    const text = portsText(ports);
    const same = blocks.get(text);
    if (same) same.push(rule);
    else blocks.set(text, [rule]);
  }
  for (const same of blocks.values()) {
    const [first] = same;
    if (first) out.push(same.length === 1 ? first : { ...ofAll(first, same), peer: joined(same.map((r) => r.peer)) });
  }
  out.sort((a, b) => (sortText(a) < sortText(b) ? -1 : 1));
  return out.find(matchesAll) ? out.filter(matchesAll).slice(0, 1) : out;
}

function named(
  rules: readonly FlatRule[],
  { ref }: CompiledPolicy,
  { index, name }: CompiledRule,
  { attribute, origins }: { readonly attribute: boolean; readonly origins: boolean },
): FlatRule[] {
  const origin: RuleOrigin = { policy: ref, rule: index, ...(name === undefined ? {} : { ruleName: name }) };
  return rules.map((f) => ({ ...f, ...(attribute ? { origin } : {}), ...(origins ? { origins: [origin] } : {}) }));
}

/** `rule` as the one that `rules` have become. */
function ofAll(rule: FlatRule, rules: readonly FlatRule[]): FlatRule {
  if (rules.length === 1 || rule.origins === undefined) return rule;
  return { ...rule, origins: rules.flatMap((r) => r.origins ?? []) };
}

const joined = (peers: readonly FlatPeer[]): FlatPeer => blocksPeer(unionOf(peers.flatMap((p) => p.blocks ?? [])));

const sortText = ({ peer, ports }: FlatRule): string => `${peer.text} ${portsText(ports)}`;
