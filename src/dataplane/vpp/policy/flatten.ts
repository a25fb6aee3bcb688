import { memo } from "../../../base/memo/memo.ts";
import type { Rule, RulePeer, RuleTable, SetId, Tier } from "../../../policy/api.ts";
import { Networks } from "./networks.ts";
import { type Prefix, prefixOf } from "./prefix.ts";
import { everybody, intersection, isEverything, portsText, type Reach, type Run } from "./runs.ts";

export interface FlattenOptions {
  /** Both families of a set. */
  readonly set: (id: SetId) => readonly Reach[];
  /** Every address of the node, as egress knows it. */
  readonly ownNode: readonly Prefix[];
}

const FAMILIES = [4, 6] as const;

/**
 * A table as one list of which the first run that matches decides. Where a rule passes, the next tier stands in its place,
 * as far as that rule reaches. Its last runs are those of everybody.
 */
export function flatten(table: RuleTable, options: FlattenOptions): readonly Run[] {
  return withoutUnreached(tiersFrom(table.tiers, 0, options));
}

/** What of a list is not about SCTP alone. */
export function withoutSctp(runs: readonly Run[]): readonly Run[] {
  const others = runs.filter(({ ports }) => ports?.protocol !== "SCTP");
  return others.length === runs.length ? runs : withoutUnreached(others);
}

/** What of a list is about SCTP, too. */
export const ofSctp = (runs: readonly Run[]): readonly Run[] =>
  runs.filter(({ ports }) => (ports?.protocol ?? "SCTP") === "SCTP");

function tiersFrom(tiers: readonly Tier[], at: number, options: FlattenOptions): Run[] {
  const tier = tiers[at];
  if (!tier) return FAMILIES.map((family) => everybody("accept", family));
  // A long tier that passes often is made once.
  let rest: Run[] | undefined;
  const next = (): Run[] => (rest ??= withoutUnreached(tiersFrom(tiers, at + 1, options)));
  const runs: Run[] = [];
  for (const rule of tier.rules) {
    const { verdict } = rule;
    for (const reach of reachesOf(rule, options)) {
      if (verdict === "pass") runs.push(...within(next(), reach));
      else runs.push({ verdict, ...reach });
    }
  }
  return runs.concat(tier.end === "deny" ? FAMILIES.map((family) => everybody("deny", family)) : next());
}

/** The runs as far as they are in the reach. */
const within = (runs: readonly Run[], reach: Reach): Run[] =>
  runs.flatMap((run) => {
    const both = intersection(run, reach);
    return both ? [{ verdict: run.verdict, ...both }] : [];
  });

/** Without what comes behind a run for all of its family, or the same again, and what says what the end says anyway. */
function withoutUnreached(runs: readonly Run[]): Run[] {
  const ends = new Map<4 | 6, Run>();
  const before: Run[] = [];
  for (const run of runs) {
    const { family } = run.networks;
    if (ends.has(family)) continue;
    if (isEverything(run)) ends.set(family, run);
    else before.push(run);
  }
  const others = withoutRepeated(before);
  for (const [family, { verdict }] of ends) {
    const ofFamily = (run: Run): boolean => run.networks.family === family;
    let last = others.findLastIndex(ofFamily);
    while (last >= 0 && others[last]?.verdict === verdict) {
      others.splice(last, 1);
      last = others.findLastIndex(ofFamily);
    }
  }
  return [...others, ...FAMILIES.flatMap((family) => ends.get(family) ?? [])];
}

/** Without networks that an earlier run of the same ports has. */
function withoutRepeated(runs: readonly Run[]): Run[] {
  const left = new Map<Run, Networks | undefined>();
  for (const same of Map.groupBy(runs, ({ networks, ports }) => `${networks.family} ${portsText(ports)}`).values()) {
    if (same.length > 1) withoutRepeatedOf(same, left);
  }
  return runs.flatMap((run) => {
    const networks = left.has(run) ? left.get(run) : run.networks;
    return networks === run.networks ? [run] : networks ? [{ ...run, networks }] : [];
  });
}

/** Of runs of one family and the same ports; says what is left of each. Of the largest, nothing is looked at but what others have. */
function withoutRepeatedOf(runs: readonly Run[], left: Map<Run, Networks | undefined>): void {
  const largest = runs.reduce((a, b) => (b.networks.prefixes.length > a.networks.prefixes.length ? b : a)).networks;
  const seen = new Map<string, Prefix>();
  let isBehind = false;
  for (const run of runs) {
    const { networks } = run;
    if (networks === largest) {
      left.set(run, isBehind ? undefined : networks.except(seen.values()));
      isBehind = true;
      continue;
    }
    left.set(run, networks.except(networks.prefixes.filter((p) => seen.has(p.text) || (isBehind && largest.has(p)))));
    for (const prefix of networks.prefixes) seen.set(prefix.text, prefix);
  }
}

function reachesOf({ peer, ports }: Rule, options: FlattenOptions): Reach[] {
  const reaches = peerReaches(peer, options);
  if (ports.length === 0) return [...reaches];
  return reaches.flatMap(({ networks, ports: own }) =>
    ports.flatMap((p) => intersection({ networks, ports: own }, { networks, ports: p }) ?? []),
  );
}

function peerReaches(peer: RulePeer, { set, ownNode }: FlattenOptions): readonly Reach[] {
  switch (peer.kind) {
    case "any":
      return FAMILIES.map((family) => ({ networks: everybody("accept", family).networks }));
    case "own-node":
      return ownNode.map((prefix) => ({ networks: Networks.one(prefix) }));
    case "blocks":
      return blocks(peer.cidrs).map((networks) => ({ networks }));
    case "pods":
    case "endpoints":
      return set(peer.set);
  }
}

/** Of a rule: the same as long as it is. */
const blocks = memo((cidrs: readonly string[]) => Networks.disjoint(cidrs.map(prefixOf)));
