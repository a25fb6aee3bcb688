import { Writer } from "../../../base/bytes/writer.ts";
import { NFT_TABLE } from "../../../models/nft.ts";
import { NFGENMSG_LENGTH, writeNfHeader } from "../conntrack/flow.ts";
import { Attrs, AttrWriter, decodeString } from "../netlink/attr.ts";
import type { NetlinkMessage } from "../netlink/nlmsg.ts";
import type { NetlinkDump } from "../netlink/request.ts";
import type { FoundChain, FoundHook } from "./parse.ts";

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_* of linux/netfilter/nf_tables.h. */
const NftMsg = { GETCHAIN: 0x0a04, GETRULE: 0x0a07 } as const;
const NFPROTO_INET = 1;
/** NFTA_CHAIN_*, NFTA_HOOK_*, NFTA_RULE_*. */
const ChainAttr = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const;
const HookAttr = { NUMBER: 1, PRIORITY: 2 } as const;
const RuleAttr = { TABLE: 1, CHAIN: 2, USERDATA: 7 } as const;
/** NFTNL_UDATA_RULE_COMMENT of libnftnl/udata.h: type, length, and that many bytes each. */
const COMMENT = 0;
/** NF_INET_*, by their numbers. */
const HOOKS = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
const NF_DROP = 0;

/** Something that dumps, such as an `RtNetlink` of NETLINK_NETFILTER. */
interface DumpSocket {
  dump<T>(dump: NetlinkDump<T>): Promise<readonly T[]>;
}

interface FoundRule {
  readonly chain: string;
  readonly comment: string;
}

/**
 * The chains of Heddle's table with the digests of their rules, as ./parse.ts has them. Of a table with 10,000 services `nft` makes
 * 12 MB of JSON of them, of which no more is looked at than this.
 */
export async function readChains(socket: DumpSocket): Promise<readonly FoundChain[]> {
  const chains = new Map<string, FoundChain>();
  for (const chain of await socket.dump(chainDump)) chains.set(chain.name, chain);
  for (const { chain, comment } of await socket.dump(ruleDump)) chains.get(chain)?.digests.push(comment);
  return [...chains.values()];
}

const chainDump: NetlinkDump<FoundChain> = {
  type: NftMsg.GETCHAIN,
  body: body((attrs) => attrs.string(ChainAttr.TABLE, NFT_TABLE)),
  words: "list the chains of nftables",
  schema: { skip: NFGENMSG_LENGTH, names: { NFTA_CHAIN_TABLE: ChainAttr.TABLE } },
  decode: decodeChain,
};

const ruleDump: NetlinkDump<FoundRule> = {
  type: NftMsg.GETRULE,
  body: body((attrs) => attrs.string(RuleAttr.TABLE, NFT_TABLE)),
  words: "list the rules of nftables",
  schema: { skip: NFGENMSG_LENGTH, names: { NFTA_RULE_TABLE: RuleAttr.TABLE } },
  decode: decodeRule,
};

/** Undefined for those of other tables: older kernels send all of them. */
function decodeChain({ body: message }: NetlinkMessage): FoundChain | undefined {
  const attrs = new Attrs(message.subarray(NFGENMSG_LENGTH));
  const name = attrs.string(ChainAttr.NAME);
  if (attrs.string(ChainAttr.TABLE) !== NFT_TABLE || name === undefined) return undefined;
  return { name, hook: decodeHook(attrs), digests: [] };
}

/** Where a base chain is hooked in; its device is not told. */
function decodeHook(attrs: Attrs): FoundHook | undefined {
  const nested = attrs.nested(ChainAttr.HOOK);
  const [type, number] = [attrs.string(ChainAttr.TYPE), nested?.u32be(HookAttr.NUMBER)];
  if (type === undefined || number === undefined) return undefined;
  const hook = { type, hook: HOOKS[number] ?? String(number), priority: (nested?.u32be(HookAttr.PRIORITY) ?? 0) | 0 };
  return attrs.u32be(ChainAttr.POLICY) === NF_DROP ? { ...hook, policy: "drop" } : hook;
}

function decodeRule({ body: message }: NetlinkMessage): FoundRule | undefined {
  const attrs = new Attrs(message.subarray(NFGENMSG_LENGTH));
  const chain = attrs.string(RuleAttr.CHAIN);
  if (attrs.string(RuleAttr.TABLE) !== NFT_TABLE || chain === undefined) return undefined;
  return { chain, comment: commentOf(attrs.bytes(RuleAttr.USERDATA)) };
}

/** "" for a rule that has none, as somebody else's. */
function commentOf(userdata: Uint8Array = new Uint8Array()): string {
  for (let at = 0; at + 2 <= userdata.length; ) {
    const [type, length = 0] = userdata.subarray(at, at + 2);
    if (type === COMMENT) return decodeString(userdata.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return "";
}

function body(write: (attrs: AttrWriter) => void): Uint8Array {
  const w = new Writer(64);
  writeNfHeader(w, NFPROTO_INET);
  write(new AttrWriter(w));
  return w.finish();
}
