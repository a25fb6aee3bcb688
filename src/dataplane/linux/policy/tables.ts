import type { IpFamily } from "../../../base/ip/address.ts";
import type { NftChainValue } from "../../../models/nft.ts";
import type { Direction, PortRange, Rule, RulePeer, RuleTable, Tier, Verdict } from "../../../policy/api.ts";
import { DENIED_CHAIN, setName, tierChain } from "./names.ts";

const FAMILIES = [4, 6] as const;

/**
 * A table of rules as chains, one for each tier. `return` means accepted: the caller goes on to what else has to be asked.
 * Tiers lead to the next by `goto`, so that it returns to the same caller.
 */
export function tableChains(table: RuleTable): NftChainValue[] {
  return table.tiers.map((tier, i) => {
    const next = i + 1 < table.tiers.length ? tierChain(table.id, i + 1) : undefined;
    return tierValue(tierChain(table.id, i), tier, table.direction, next);
  });
}

function tierValue(name: string, tier: Tier, direction: Direction, next: string | undefined): NftChainValue {
  const uses = new Set<string>();
  const jumps = new Set<string>();
  const onward = next === undefined ? "return" : `goto ${next}`;
  const verdicts: Record<Verdict, string> = { accept: "return", deny: `goto ${DENIED_CHAIN}`, pass: onward };
  const rules = tier.rules.flatMap((rule) => {
    if (rule.verdict === "deny") jumps.add(DENIED_CHAIN);
    if (rule.verdict === "pass" && next !== undefined) jumps.add(next);
    return ruleTexts(rule, direction, uses).map((match) => `${match} ${verdicts[rule.verdict]}`.trimStart());
  });
  // Behind a rule for everything nothing is reached, and the kernel refuses nothing that isn't.
  if (tier.end === "deny") {
    rules.push(`goto ${DENIED_CHAIN}`);
    jumps.add(DENIED_CHAIN);
  } else if (next !== undefined) {
    rules.push(`goto ${next}`);
    jumps.add(next);
  }
  return { name, rules, uses: [...uses].sort(), jumps: [...jumps].sort() };
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
