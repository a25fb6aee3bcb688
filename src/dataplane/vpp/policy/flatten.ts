import type { Rule, RulePeer, RuleTable, SetId, SetRow, Tier } from "../../../policy/api.ts";
import {
  type Box,
  boxKey,
  type Entry,
  EVERYONE,
  intersection,
  isEverything,
  isWholeProtocol,
  type Ports,
  type Prefix,
  prefixesOf,
  prefixOf,
} from "./boxes.ts";
import { EntryIndex } from "./entry-index.ts";

export interface FlattenOptions {
  /** Both families of a set. */
  readonly set: (id: SetId) => readonly SetRow[];
  /** Every address of the node, as egress knows it. */
  readonly ownNode: readonly Prefix[];
}

/** Of a table, one list without tiers. Its last entries are those of everybody. */
export interface Flat {
  readonly entries: readonly Entry[];
  /** Rules about some of SCTP's ports, which VPP does not see, were narrowed to what is sure to be allowed. */
  readonly isSctpNarrowed: boolean;
}

/**
 * A table as one list of which the first entry that matches decides. Where a rule passes, the next tier stands in its place,
 * as far as that rule reaches.
 */
export function flatten(table: RuleTable, options: FlattenOptions): Flat {
  const exact = withoutUnreached(tiersFrom(table.tiers, 0, options));
  const entries = exact.flatMap(narrowed);
  const isSctpNarrowed = exact.some(({ box }) => isSomeSctp(box.ports));
  return { entries: isSctpNarrowed ? withoutUnreached(entries) : entries, isSctpNarrowed };
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

/**
 * VPP sees no ports of SCTP: an entry for some of them can accept nothing, and denies all. So whatever is accepted is
 * accepted by the policies, too: what comes before an entry of all ports that accepts has denied none of them.
 */
function narrowed(entry: Entry): Entry[] {
  const { box, verdict } = entry;
  if (!isSomeSctp(box.ports)) return [entry];
  if (verdict === "accept") return [];
  return [{ verdict, box: { prefix: box.prefix, ports: { protocol: "SCTP", first: 0, last: 65_535 } } }];
}

const isSomeSctp = (ports: Ports | undefined): boolean => ports?.protocol === "SCTP" && !isWholeProtocol(ports);

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
      return set(peer.set).flatMap(({ family, elements }) =>
        prefixesOf(
          family,
          elements.map(({ ip }) => ip),
        ).map((prefix) => ({ prefix })),
      );
    case "endpoints":
      return set(peer.set).flatMap(endpointBoxes);
  }
}

function endpointBoxes({ family, elements }: SetRow): Box[] {
  const byService = Map.groupBy(elements, ({ protocol, port }) => `${protocol} ${port}`);
  return [...byService.values()].flatMap((same) => {
    const [{ protocol, port } = {}] = same;
    if (protocol === undefined || port === undefined) return [];
    const prefixes = prefixesOf(
      family,
      same.map(({ ip }) => ip),
    );
    return prefixes.map((prefix) => ({ prefix, ports: { protocol, first: port, last: port } }));
  });
}
