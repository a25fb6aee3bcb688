import { Writer } from "../../../base/bytes/writer.ts";
import type { GroupOp } from "../../../kvscheduler/api/descriptor.ts";
import { NFT_TABLE, type NftChainValue } from "../../../models/nft.ts";
import { AttrWriter, NLA_F_NESTED } from "../netlink/attr.ts";
import { errnoName } from "../netlink/errno.ts";
import { decodeAck } from "../netlink/ext-ack.ts";
import { type NativeNetlinkSocket, NetlinkProtocol, native } from "../netlink/native.ts";
import { decodeMessages, encodeMessage, NlmFlag, NlmType } from "../netlink/nlmsg.ts";
import { NftError } from "./nft.ts";

/** A chain that drops whatever comes in by one device. */
export interface DeviceChain {
  readonly name: string;
  readonly device: string;
  readonly priority: number;
}

/** NFNL_SUBSYS_NFTABLES, NFNL_MSG_BATCH_* of linux/netfilter/nfnetlink.h; NFT_MSG_* of nf_tables.h. */
const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NEW_CHAIN = (SUBSYSTEM << 8) | 3;
const DELETE_RULE = (SUBSYSTEM << 8) | 8;
const NFPROTO_INET = 1;
const NF_INET_INGRESS = 5;
const NF_DROP = 0;
const ChainAttr = { TABLE: 1, NAME: 3, HOOK: 4, POLICY: 5, TYPE: 7 } as const;
const HookAttr = { NUMBER: 1, PRIORITY: 2, DEVICE: 3 } as const;
const RuleAttr = { TABLE: 1, CHAIN: 2 } as const;

/** The operations, if each of them makes a chain that drops all of one device, and nothing else is done. */
export function deviceChains(ops: readonly GroupOp[]): readonly DeviceChain[] | undefined {
  const chains: DeviceChain[] = [];
  for (const { kind, descriptor, value } of ops) {
    const { name, hook, rules } = value as Partial<NftChainValue>;
    if (kind !== "create" || descriptor !== "nft-chain" || name === undefined || rules?.length !== 0) return undefined;
    if (hook?.hook !== "ingress" || hook.type !== "filter" || hook.policy !== "drop") return undefined;
    if (hook.device === undefined) return undefined;
    chains.push({ name, device: hook.device, priority: hook.priority });
  }
  return chains;
}

/**
 * Makes such chains in table `inet hd` of this process's namespace, unless told otherwise, with the messages that `nft` (1.0.6) sends for `add chain`
 * and `flush chain`. To start that program takes a quarter of the time that a pod's ADD has.
 */
export class DeviceChains {
  readonly #open: () => Promise<NativeNetlinkSocket>;
  #socket: Promise<NativeNetlinkSocket> | undefined;

  constructor(open = () => native().openNetlink({ protocol: NetlinkProtocol.NETFILTER })) {
    this.#open = open;
  }

  /** All of them, or none. @throws NftError REFUSED, and what a netlink socket does. */
  async add(chains: readonly DeviceChain[]): Promise<void> {
    this.#socket ??= this.#open();
    const answers = decodeMessages(await (await this.#socket).transact(encodeDeviceChains(chains)));
    const acks = answers.filter(({ type }) => type === NlmType.ERROR).map((message) => decodeAck(message));
    const what = `chains for ${chains.map(({ device }) => device).join(", ")}`;
    const refused = acks.find(({ errno }) => errno !== 0);
    if (refused) throw new NftError("REFUSED", `${what}: ${refused.text ?? `error ${errnoName(refused.errno)}`}`);
    if (acks.length < chains.length) throw new NftError("REFUSED", `${what}: the kernel did not acknowledge`);
  }

  async close(): Promise<void> {
    (await this.#socket)?.close();
  }
}

/** One batch, which the kernel commits as a whole. Only what makes a chain is acknowledged. */
export function encodeDeviceChains(chains: readonly DeviceChain[]): Uint8Array {
  const w = new Writer();
  let seq = 0;
  const add = (
    type: number,
    flags: number,
    header: readonly [family: number, resource: number],
    attrs?: AttrWriter,
  ) => {
    const body = new Writer();
    body.u8(header[0]).u8(0).u16be(header[1]);
    if (attrs) body.bytes(attrs.w.finish());
    encodeMessage(w, { type, flags: NlmFlag.REQUEST | flags, seq: seq++, body: body.finish() });
  };
  add(BATCH_BEGIN, 0, [0, SUBSYSTEM]);
  for (const { name, device, priority } of chains) {
    const chain = new AttrWriter()
      .string(ChainAttr.TABLE, NFT_TABLE)
      .string(ChainAttr.NAME, name)
      .string(ChainAttr.TYPE, "filter")
      .u32be(ChainAttr.POLICY, NF_DROP)
      .nest(ChainAttr.HOOK | NLA_F_NESTED, (hook) =>
        hook
          .u32be(HookAttr.NUMBER, NF_INET_INGRESS)
          .u32be(HookAttr.PRIORITY, priority >>> 0)
          .string(HookAttr.DEVICE, device),
      );
    add(NEW_CHAIN, NlmFlag.CREATE | NlmFlag.ACK, [NFPROTO_INET, 0], chain);
    const rules = new AttrWriter().string(RuleAttr.TABLE, NFT_TABLE).string(RuleAttr.CHAIN, name);
    add(DELETE_RULE, 0, [NFPROTO_INET, 0], rules);
  }
  add(BATCH_END, 0, [0, SUBSYSTEM]);
  return w.finish();
}
