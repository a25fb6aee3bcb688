import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type NftChainValue, type NftSetValue, nftChainKey, nftSetKey } from "../../../models/nft.ts";
import { SETS } from "../nodes/nft-base.ts";
import { EGRESS_MARK, EGRESS_MARK_MASK, EGRESS_SETS } from "./names.ts";

const FAMILIES = [4, 6] as const;

/** Behind the translation of destinations (-100): what counts is where a packet really goes. */
const TRANSLATED = -90;
/** Behind policies (0). */
const GUARD = 5;
/** As mangling (NF_IP_PRI_MANGLE): it has been routed. */
const LED = -150;
/** Before the source translation of everything else (90). */
const SOURCE = 85;

export interface EgressBaseOptions {
  /** Whether the kernel sees both ways of a connection that is led to another node: if not, it can't tell what belongs to it. */
  readonly seesAnswers: boolean;
}

/** Sets and chains, as many however many pods there are. */
export function* egressBase({ seesAnswers }: EgressBaseOptions): Iterable<KeyValue> {
  for (const f of FAMILIES) {
    const type = f === 4 ? "ipv4_addr" : "ipv6_addr";
    yield set({ kind: "set", name: EGRESS_SETS.pods[f], type });
    yield set({ kind: "set", name: EGRESS_SETS.open[f], type });
    yield set({ kind: "map", name: EGRESS_SETS.sources[f], type, data: type });
    yield set({ kind: "set", name: EGRESS_SETS.pairs[f], type: `${type} . ${type}` });
    yield set({ kind: "map", name: EGRESS_SETS.marks[f], type, data: "mark" });
    yield set({ kind: "set", name: EGRESS_SETS.kept[f], type, flags: ["interval"] });
    yield set({ kind: "set", name: EGRESS_SETS.peers[f], type, flags: ["interval"] });
  }
  yield chain({
    name: "egress_lead",
    hook: { type: "filter", hook: "prerouting", priority: TRANSLATED },
    rules: FAMILIES.map((f) => {
      const { open, marks } = EGRESS_SETS;
      const from = `${ip(f)} saddr`;
      return `ct direction original ${from} @${open[f]} ${outside(f)} meta mark set ${from} map @${marks[f]}`;
    }),
    uses: used("open", "marks", "kept"),
    jumps: [],
  });
  yield chain({
    name: "egress_guard",
    hook: { type: "filter", hook: "forward", priority: GUARD },
    rules: ["ct direction reply return", ...FAMILIES.flatMap((f) => guardRules(f, seesAnswers))],
    uses: used("pods", "open", "pairs", "peers", "kept"),
    jumps: [],
  });
  // The overlay's packet around it takes over the mark, and would be led into the overlay once more.
  yield chain({
    name: "egress_led",
    hook: { type: "filter", hook: "postrouting", priority: LED },
    rules: [`meta mark & ${hex(EGRESS_MARK_MASK)} == ${hex(EGRESS_MARK)} meta mark set 0x00000000`],
    uses: [],
    jumps: [],
  });
  yield chain({
    name: "egress_snat",
    hook: { type: "nat", hook: "postrouting", priority: SOURCE },
    rules: FAMILIES.map((f) => `${outside(f)} snat ${ip(f)} to ${ip(f)} saddr map @${EGRESS_SETS.sources[f]}`),
    uses: used("sources", "kept"),
    jumps: [],
  });
}

/**
 * Whatever was decided elsewhere, nothing passes that would leave as somebody else: no pod without a way; no connection that
 * began when another source was right, since the kernel keeps to that; no pod of another node that is not known here; and
 * nothing that the kernel can't tell the connection of, which it would not translate.
 */
function guardRules(f: 4 | 6, seesAnswers: boolean): string[] {
  const { pods, open, pairs, peers } = EGRESS_SETS;
  const from = `${ip(f)} saddr`;
  const own = `${outside(f)} ${from} @${pods[f]}`;
  return [
    `${own} ${from} != @${open[f]} drop`,
    `${own} ct status confirmed ${from} . ct reply ${ip(f)} daddr != @${pairs[f]} drop`,
    `${own} ${seesAnswers ? "" : `${from} . ${from} != @${pairs[f]} `}ct state { invalid, untracked } drop`,
    `${outside(f)} ${from} @${peers[f]} ${from} != @${pods[f]} ct status ! dnat drop`,
  ];
}

const outside = (f: 4 | 6): string => `${ip(f)} daddr != @${SETS.cluster[f]} ${ip(f)} daddr != @${EGRESS_SETS.kept[f]}`;
const used = (...names: (keyof typeof EGRESS_SETS)[]): string[] => [
  ...Object.values(SETS.cluster),
  ...names.flatMap((name) => Object.values(EGRESS_SETS[name])),
];
const hex = (n: number): string => `0x${n.toString(16).padStart(8, "0")}`;
const ip = (f: 4 | 6): "ip" | "ip6" => (f === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
