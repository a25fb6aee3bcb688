import type { Rule, RulePeer, RuleTable, SetId, SetRow, Tier } from "../../../policy/api.ts";
import { type Box, boxKey, type Entry, intersection, isEverything, type Ports } from "./boxes.ts";
import { EntryIndex } from "./entry-index.ts";
import { EVERYONE, type Prefix, prefixesOf, prefixOf } from "./prefix.ts";

export interface FlattenOptions {
  /** Both families of a set. */
  readonly set: (id: SetId) => readonly SetRow[];
  /** Every address of the node, as egress knows it. */
  readonly ownNode: readonly Prefix[];
}

/**
 * A table as one list of which the first entry that matches decides. Where a rule passes, the next tier stands in its place,
 * as far as that rule reaches. Its last entries are those of everybody.
 */
export function flatten(table: RuleTable, options: FlattenOptions): readonly Entry[] {
  return withoutUnreached(tiersFrom(table.tiers, 0, options));
}

/** What of a list is not about SCTP alone. */
export function withoutSctp(entries: readonly Entry[]): readonly Entry[] {
  const others = entries.filter(({ box }) => box.ports?.protocol !== "SCTP");
  return others.length === entries.length ? entries : withoutUnreached(others);
}

function tiersFrom(tiers: readonly Tier[], at: number, options: FlattenOptions): Entry[] {
  const tier = tiers[at];
  if (!tier) return everyone("accept");
  // A long tier that passes often is made once.
  let rest: Entry[] | undefined;
  const next = (): Entry[] => (rest ??= withoutUnreached(tiersFrom(tiers, at + 1, options)));
  let index: EntryIndex | undefined;
  const entries: Entry[] = [];
  for (const rule of tier.rules) {
    const { verdict } = rule;
    for (const box of boxesOf(rule, options)) {
      if (verdict !== "pass") entries.push({ verdict, box });
      else for (const entry of (index ??= new EntryIndex(next())).within(box)) entries.push(entry);
    }
  }
  return entries.concat(tier.end === "deny" ? everyone("deny") : next());
}

const everyone = (verdict: Entry["verdict"]): Entry[] => EVERYONE.map((prefix) => ({ verdict, box: { prefix } }));

/** Without what comes behind an entry for all of its family, or the same again, and what says what the end says anyway. */
function withoutUnreached(entries: readonly Entry[]): Entry[] {
  const seen = new Set<string>();
  const ended = new Set<4 | 6>();
  const reached = entries.filter(({ box }) => {
    const { family } = box.prefix;
    const key = boxKey(box);
    if (ended.has(family) || seen.has(key)) return false;
    seen.add(key);
    if (isEverything(box)) ended.add(family);
    return true;
  });
  const ends = reached.filter(({ box }) => isEverything(box));
  const others = reached.filter(({ box }) => !isEverything(box));
  for (const { verdict, box } of ends) {
    const { family } = box.prefix;
    let last = others.findLastIndex((e) => e.box.prefix.family === family);
    while (last >= 0 && others[last]?.verdict === verdict) {
      others.splice(last, 1);
      last = others.findLastIndex((e) => e.box.prefix.family === family);
    }
  }
  return [...others, ...ends.toSorted((a, b) => a.box.prefix.family - b.box.prefix.family)];
}

function boxesOf({ peer, ports }: Rule, options: FlattenOptions): Box[] {
  const services: readonly (Ports | undefined)[] = ports.length === 0 ? [undefined] : ports;
  return peerBoxes(peer, options).flatMap((box) =>
    services.flatMap((p) => intersection(box, p ? { prefix: box.prefix, ports: p } : { prefix: box.prefix }) ?? []),
  );
}

function peerBoxes(peer: RulePeer, { set, ownNode }: FlattenOptions): Box[] {
  switch (peer.kind) {
    case "any":
      return EVERYONE.map((prefix) => ({ prefix }));
    case "own-node":
      return ownNode.map((prefix) => ({ prefix }));
    case "blocks":
      return peer.cidrs.map((cidr) => ({ prefix: prefixOf(cidr) }));
    case "pods":
      return set(peer.set).flatMap(({ elements }) =>
        prefixesOf(elements.map(({ ip }) => ip)).map((prefix) => ({ prefix })),
      );
    case "endpoints":
      return set(peer.set).flatMap(endpointBoxes);
  }
}

function endpointBoxes({ elements }: SetRow): Box[] {
  const byService = Map.groupBy(elements, ({ protocol, port }) => `${protocol} ${port}`);
  return [...byService.values()].flatMap((same) => {
    const [{ protocol, port } = {}] = same;
    if (protocol === undefined || port === undefined) return [];
    return prefixesOf(same.map(({ ip }) => ip)).map((prefix) => ({
      prefix,
      ports: { protocol, first: port, last: port },
    }));
  });
}
