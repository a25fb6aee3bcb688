import type { IpFamily } from "../../../base/ip/address.ts";
import type { NftChainValue } from "../../../models/nft.ts";
import type { Direction, PortRange, Rule, RulePeer, RuleTable, Tier, Verdict } from "../../../policy/api.ts";
import { DENIED_BY_RULES, setName, tierChain } from "./names.ts";

const FAMILIES = [4, 6] as const;

/** What a rule of a chain does: the rule of that place in its tier, or what is behind the tier's last rule. */
export type RulePlace = number | "end";

interface ChainRule {
  readonly text: string;
  readonly place: RulePlace;
}

/**
 * A table of rules as chains, one for each tier. `return` means accepted: the caller goes on to what else has to be asked.
 * Tiers lead to the next by `goto`, so that it returns to the same caller. Every rule that decides counts.
 */
export function tableChains(table: RuleTable): NftChainValue[] {
  return table.tiers.map((tier, i) => {
    const next = nextChain(table, i);
    const denied = DENIED_BY_RULES[table.direction];
    const uses = new Set<string>();
    const rules = [...chainRules(tier, table.direction, next, uses)].map(({ text }) => text);
    const jumps = [denied, ...(next === undefined ? [] : [next])].filter((chain) =>
      rules.some((rule) => rule.endsWith(`goto ${chain}`)),
    );
    return { name: tierChain(table.id, i), rules, uses: [...uses].sort(), jumps: jumps.sort() };
  });
}

/** Of each chain of a table what its rules are, in order. */
export function tablePlaces(table: RuleTable): { readonly chain: string; readonly places: readonly RulePlace[] }[] {
  return table.tiers.map((tier, i) => ({
    chain: tierChain(table.id, i),
    places: [...chainRules(tier, table.direction, nextChain(table, i), new Set())].map(({ place }) => place),
  }));
}

const nextChain = (table: RuleTable, tier: number): string | undefined =>
  tier + 1 < table.tiers.length ? tierChain(table.id, tier + 1) : undefined;

function* chainRules(
  tier: Tier,
  direction: Direction,
  next: string | undefined,
  uses: Set<string>,
): Iterable<ChainRule> {
  const denied = `goto ${DENIED_BY_RULES[direction]}`;
  const onward = next === undefined ? "return" : `goto ${next}`;
  const verdicts: Record<Verdict, string> = { accept: "return", deny: denied, pass: onward };
  for (const [place, rule] of tier.rules.entries()) {
    for (const match of ruleTexts(rule, direction, uses)) {
      yield { text: `${match} counter ${verdicts[rule.verdict]}`.trimStart(), place };
    }
  }
  // Behind a rule for everything nothing is reached, and the kernel refuses nothing that isn't.
  if (tier.end === "deny") yield { text: `counter ${denied}`, place: "end" };
  else if (next !== undefined) yield { text: `goto ${next}`, place: "end" };
}

/** What a packet must match, one text for each combination of family and protocol. */
function ruleTexts({ peer, ports }: Rule, direction: Direction, uses: Set<string>): string[] {
  const addresses = peerTexts(peer, direction, uses);
  const services = ports.length === 0 ? [""] : portTexts(ports);
  return addresses.flatMap((a) => services.map((s) => [a, s].filter((part) => part !== "").join(" ")));
}

function peerTexts(peer: RulePeer, direction: Direction, uses: Set<string>): string[] {
  const side = direction === "ingress" ? "saddr" : "daddr";
  const named = (set: string) => {
    uses.add(set);
    return `@${set}`;
  };
  switch (peer.kind) {
    case "any":
      return [""];
    case "own-node":
      return ["fib daddr type local"];
    case "pods":
      return FAMILIES.map((f) => `${ip(f)} ${side} ${named(setName(peer.set, f))}`);
    case "endpoints":
      return FAMILIES.map((f) => `${ip(f)} daddr . meta l4proto . th dport ${named(setName(peer.set, f))}`);
    case "blocks":
      return FAMILIES.flatMap((f) => {
        const cidrs = peer.cidrs.filter((c) => c.includes(":") === (f === 6));
        if (cidrs.length === 0) return [];
        // A prefix of length 0 is no element of a set.
        if (cidrs.some((c) => c.endsWith("/0"))) return [`meta nfproto ipv${f}`];
        return [`${ip(f)} ${side} ${anyOf(cidrs)}`];
      });
  }
}

function portTexts(ports: readonly PortRange[]): string[] {
  const byProtocol = Map.groupBy(ports, (p) => p.protocol);
  return [...byProtocol].map(([protocol, ranges]) => {
    const name = protocol.toLowerCase();
    if (ranges.some(({ first, last }) => first === 0 && last === 65_535)) return `meta l4proto ${name}`;
    return `${name} dport ${anyOf(ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)))}`;
  });
}

const anyOf = (parts: readonly string[]): string => (parts.length === 1 ? (parts[0] ?? "") : `{ ${parts.join(", ")} }`);

const ip = (family: IpFamily): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
