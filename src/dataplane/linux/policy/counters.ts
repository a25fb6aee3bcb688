import { Writer } from "../../../base/bytes/writer.ts";
import { NFT_TABLE } from "../../../models/nft.ts";
import type { Count, Direction, PolicyCounts, RuleCount, RuleTable } from "../../../policy/api.ts";
import { NFGENMSG_LENGTH, writeNfHeader } from "../conntrack/flow.ts";
import { Attrs, AttrWriter, decodeString, splitAttrs } from "../netlink/attr.ts";
import type { NetlinkMessage } from "../netlink/nlmsg.ts";
import type { NetlinkDump } from "../netlink/request.ts";
import { DENIED_CHAIN, DENIED_PODS, SOURCE_CHAIN } from "./names.ts";
import { tablePlaces } from "./tables.ts";

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_* of linux/netfilter/nf_tables.h. */
const NftMsg = { GETRULE: 0x0a07, GETSETELEM: 0x0a0d } as const;
const NFPROTO_INET = 1;
/** NFTA_RULE_*, NFTA_SET_ELEM_LIST_*, NFTA_SET_ELEM_*, NFTA_EXPR_*, NFTA_COUNTER_*, NFTA_DATA_VALUE. */
const RuleAttr = { TABLE: 1, CHAIN: 2, EXPRESSIONS: 4 } as const;
const ElementsAttr = { TABLE: 1, SET: 2, ELEMENTS: 3 } as const;
const ElementAttr = { KEY: 1, EXPR: 7 } as const;
const ExprAttr = { NAME: 1, DATA: 2 } as const;
const CounterAttr = { BYTES: 1, PACKETS: 2 } as const;
const DATA_VALUE = 1;

const RULE_NAMES = { NFTA_RULE_TABLE: RuleAttr.TABLE };
const ELEMENT_NAMES = { NFTA_SET_ELEM_LIST_TABLE: ElementsAttr.TABLE, NFTA_SET_ELEM_LIST_SET: ElementsAttr.SET };

/** A rule of a chain and what it has counted; undefined if it does not count. */
export interface FoundRule {
  readonly chain: string;
  readonly count: Count | undefined;
}

/** An element of a set of links, and what it has counted. */
export interface FoundElement {
  readonly link: string;
  readonly count: Count;
}

/** All rules of Heddle's table, chain by chain, in order. */
export const ruleDump = (): NetlinkDump<FoundRule> => ({
  type: NftMsg.GETRULE,
  body: body((attrs) => attrs.string(RuleAttr.TABLE, NFT_TABLE)),
  words: "list the rules of nftables",
  schema: { skip: NFGENMSG_LENGTH, names: RULE_NAMES },
  decode: decodeRule,
});

/** The elements of a set of links. The kernel sends them in messages of many. */
export const elementDump = (set: string): NetlinkDump<readonly FoundElement[]> => ({
  type: NftMsg.GETSETELEM,
  body: body((attrs) => attrs.string(ElementsAttr.TABLE, NFT_TABLE).string(ElementsAttr.SET, set)),
  words: `list the elements of nftables' set ${set}`,
  schema: { skip: NFGENMSG_LENGTH, names: ELEMENT_NAMES },
  decode: decodeElements,
});

function body(write: (attrs: AttrWriter) => void): Uint8Array {
  const w = new Writer(64);
  writeNfHeader(w, NFPROTO_INET);
  write(new AttrWriter(w));
  return w.finish();
}

function decodeRule({ body: message }: NetlinkMessage): FoundRule | undefined {
  const attrs = new Attrs(message.subarray(NFGENMSG_LENGTH));
  const chain = attrs.string(RuleAttr.CHAIN);
  if (attrs.string(RuleAttr.TABLE) !== NFT_TABLE || chain === undefined) return undefined;
  const expressions = attrs.bytes(RuleAttr.EXPRESSIONS);
  let count: Count | undefined;
  for (const { data } of expressions ? splitAttrs(expressions) : []) count ??= decodeCounter(data);
  return { chain, count };
}

function decodeElements({ body: message }: NetlinkMessage): readonly FoundElement[] {
  const elements = new Attrs(message.subarray(NFGENMSG_LENGTH)).bytes(ElementsAttr.ELEMENTS);
  if (!elements) return [];
  return splitAttrs(elements).flatMap(({ data }): FoundElement[] => {
    const attrs = new Attrs(data);
    const key = attrs.nested(ElementAttr.KEY)?.bytes(DATA_VALUE);
    const expression = attrs.bytes(ElementAttr.EXPR);
    const count = expression && decodeCounter(expression);
    return key && count ? [{ link: decodeString(key), count }] : [];
  });
}

/** What a counter has counted; undefined for another expression. */
function decodeCounter(expression: Uint8Array): Count | undefined {
  const attrs = new Attrs(expression);
  if (attrs.string(ExprAttr.NAME) !== "counter") return undefined;
  const data = attrs.nested(ExprAttr.DATA);
  const number = (type: number): number => Number(data?.struct(type, (r) => r.u64be()) ?? 0n);
  return { packets: number(CounterAttr.PACKETS), bytes: number(CounterAttr.BYTES) };
}

/** Something that dumps, such as an `RtNetlink`. */
export interface DumpSocket {
  dump<T>(dump: NetlinkDump<T>): Promise<readonly T[]>;
}

/** What the rules of `tables` have counted, and the links of pods. */
export async function readCounts(socket: DumpSocket, tables: Iterable<RuleTable>): Promise<PolicyCounts> {
  const rules = Map.groupBy(await socket.dump(ruleDump()), (rule) => rule.chain);
  const sum = (chain: string): Count =>
    added((rules.get(chain) ?? []).flatMap(({ count }) => (count === undefined ? [] : [count])));
  const denied = async (direction: Direction) =>
    (await socket.dump(elementDump(DENIED_PODS[direction])))
      .flat()
      .map(({ link, count }) => ({ id: link, direction, ...count }));
  return {
    rules: [...tables].flatMap((table) => tableCounts(table, rules)),
    denied: [...(await denied("egress")), ...(await denied("ingress"))],
    stopped: sum(DENIED_CHAIN),
    forged: sum(SOURCE_CHAIN),
  };
}

function tableCounts(table: RuleTable, found: ReadonlyMap<string, readonly FoundRule[]>): RuleCount[] {
  return tablePlaces(table).flatMap(({ chain, places }, tier) => {
    const rules = found.get(chain) ?? [];
    // Another one by now, or not there (yet): then its counters mean something else.
    if (rules.length !== places.length) return [];
    const byPlace = Map.groupBy(places.keys(), (i) => places[i] ?? "end");
    return [...byPlace].flatMap(([rule, indexes]): RuleCount[] => {
      const counts = indexes.flatMap((i) => rules[i]?.count ?? []);
      return counts.length === 0 ? [] : [{ table: table.id, tier, rule, ...added(counts) }];
    });
  });
}

const added = (counts: readonly Count[]): Count => ({
  packets: counts.reduce((sum, c) => sum + c.packets, 0),
  bytes: counts.reduce((sum, c) => sum + c.bytes, 0),
});
