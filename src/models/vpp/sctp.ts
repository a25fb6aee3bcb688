import type { Key } from "../../kvscheduler/api/descriptor.ts";

/**
 * What of SCTP a pod's address may send (egress) or get (ingress). The most specific network that a peer is in decides; in
 * it the first kind that fits, in the order of {@link SctpRuleKind}. Packets of no rule's network are not judged.
 */
export interface SctpRulesValue {
  readonly direction: "egress" | "ingress";
  /** The pod's. */
  readonly address: string;
  /** As {@link sctpRuleText} makes them; in any order, each once. */
  readonly rules: readonly string[];
}

/**
 * - `self`: the pod itself: passes.
 * - `begun`: to these ports of who answers: passes.
 * - `init`: would begin an association: dropped.
 * - `answers`: from these ports of who answers: passes.
 * - `rest`: dropped.
 */
export type SctpRuleKind = "answers" | "begun" | "init" | "rest" | "self";

export interface SctpRule {
  readonly kind: SctpRuleKind;
  /** Canonical. */
  readonly peer: string;
  /** A port of which only the upper `bits` count, 0 to 16; of `begun` and `answers` only. */
  readonly port: number;
  readonly bits: number;
}

const HAS_PORTS: ReadonlySet<SctpRuleKind> = new Set(["answers", "begun"]);

/** `begun 10.0.0.0/8 80/16`, `rest ::/0` */
export const sctpRuleText = ({ kind, peer, port, bits }: SctpRule): string =>
  HAS_PORTS.has(kind) ? `${kind} ${peer} ${port}/${bits}` : `${kind} ${peer}`;

/** The inverse of {@link sctpRuleText}. */
export function parseSctpRule(text: string): SctpRule {
  const match = /^(answers|begun|init|rest|self) (\S+)(?: (\d+)\/(\d+))?$/.exec(text);
  if (!match) throw new RangeError(`${text} is no rule of SCTP`);
  const [, kind, peer = "", port = 0, bits = 0] = match;
  return { kind: kind as SctpRuleKind, peer, port: Number(port), bits: Number(bits) };
}

export const SCTP_PREFIX = "vpp/sctp/";

export const sctpKey = ({ direction, address }: Pick<SctpRulesValue, "address" | "direction">): Key =>
  `${SCTP_PREFIX}${direction}/${address}`;
