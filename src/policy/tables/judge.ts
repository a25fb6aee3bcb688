import { familyOf, type IpAddress, ipToBigint } from "../../base/ip/address.ts";
import { memo } from "../../base/memo/memo.ts";
import type { PortProtocol, Rule, RuleTable, SetId, TierName } from "../api.ts";
import { blocksContain, parseBlocks } from "../compile/blocks.ts";

/** The first packet of a connection, from the side of the pod whose table is asked. */
export interface JudgedPacket {
  /** Source for ingress tables, destination for egress ones. */
  readonly peer: IpAddress;
  /** Undefined: a protocol without ports, such as ICMP. */
  readonly protocol: PortProtocol | undefined;
  /** Destination port. */
  readonly port: number;
}

/** What a judge must know besides the table. */
export interface JudgeContext {
  inSet(set: SetId, packet: JudgedPacket): boolean;
  isOwnNode(ip: IpAddress): boolean;
}

export interface Judgement {
  readonly verdict: "accept" | "deny";
  /** The rule that decided; absent if the end of a tier or of the table did. */
  readonly rule?: Rule;
  /** Absent if the end of the table decided. */
  readonly tier?: TierName;
}

/** Networks of a rule, in the form that can be searched; made once. */
const blocksOfRule = memo(parseBlocks);

/** What a table makes of a packet: the reference for renderers. */
export function judge(table: RuleTable, packet: JudgedPacket, context: JudgeContext): Judgement {
  for (const { name: tier, rules, end } of table.tiers) {
    const rule = rules.find((r) => ruleMatches(r, packet, context));
    if (rule?.verdict === "pass") continue;
    if (rule) return { verdict: rule.verdict === "accept" ? "accept" : "deny", rule, tier };
    if (end === "deny") return { verdict: "deny", tier };
  }
  return { verdict: "accept" };
}

function ruleMatches({ peer, ports }: Rule, packet: JudgedPacket, context: JudgeContext): boolean {
  const { protocol, port } = packet;
  const portFits =
    ports.length === 0 || ports.some((p) => p.protocol === protocol && p.first <= port && port <= p.last);
  if (!portFits) return false;
  switch (peer.kind) {
    case "any":
      return true;
    case "own-node":
      return context.isOwnNode(packet.peer);
    case "blocks":
      return blocksContain(blocksOfRule(peer.cidrs), familyOf(packet.peer), ipToBigint(packet.peer));
    case "pods":
    case "endpoints":
      return context.inSet(peer.set, packet);
  }
}
