import { Writer } from "../../../../base/bytes/writer.ts";
import { NFT_TABLE } from "../../../../models/nft.ts";
import { AttrWriter } from "../../netlink/attr.ts";
import { encodeMessage, NlmFlag } from "../../netlink/nlmsg.ts";

/** NFNL_SUBSYS_NFTABLES, NFNL_MSG_BATCH_* of linux/netfilter/nfnetlink.h; NFT_MSG_* of nf_tables.h. */
const SUBSYSTEM = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const BATCH = "the batch";
const NFPROTO_UNSPEC = 0;
const NFPROTO_INET = 1;

/** What a message asks for, NFT_MSG_* of linux/netfilter/nf_tables.h. */
export const NftMessage = {
  NEW_CHAIN: 3,
  DELETE_CHAIN: 5,
  NEW_RULE: 6,
  DELETE_RULE: 8,
  NEW_SET: 9,
  DELETE_SET: 11,
  NEW_ELEMENTS: 12,
  DELETE_ELEMENTS: 14,
} as const;

/** Messages that make something. Rules come behind those of their chain. */
const NEW: ReadonlyMap<number, number> = new Map([
  [NftMessage.NEW_CHAIN, NlmFlag.CREATE],
  [NftMessage.NEW_RULE, NlmFlag.CREATE | NlmFlag.APPEND],
  [NftMessage.NEW_SET, NlmFlag.CREATE],
  [NftMessage.NEW_ELEMENTS, NlmFlag.CREATE],
]);

/** The first attribute of all of them, NFTA_*_TABLE. */
const TABLE = 1;

/** The messages of one transaction of nf_tables, about table `inet hd`: the kernel carries out all of it, or nothing. */
export class NftBatch {
  readonly #w = new Writer();
  /** Of each message, by its sequence number, what it is about. */
  readonly #subjects: string[] = [];
  #sets = 0;
  #count = 0;

  constructor() {
    this.#add(BATCH_BEGIN, 0, BATCH, new Writer().u8(NFPROTO_UNSPEC).u8(0).u16be(SUBSYSTEM));
  }

  get length(): number {
    return this.#w.length;
  }

  /** A message, which the kernel acknowledges. `subject` is what an error says it is about. */
  add(type: (typeof NftMessage)[keyof typeof NftMessage], subject: string, write: (attrs: AttrWriter) => void): void {
    const body = new Writer().u8(NFPROTO_INET).u8(0).u16be(0);
    write(new AttrWriter(body).string(TABLE, NFT_TABLE));
    this.#count++;
    this.#add((SUBSYSTEM << 8) | type, NlmFlag.ACK | (NEW.get(type) ?? 0), subject, body);
  }

  /** A number for a set that is made in the batch. */
  nextSetId(): number {
    return ++this.#sets;
  }

  /** Messages that are acknowledged. */
  get count(): number {
    return this.#count;
  }

  /** What the message of that sequence number is about. */
  subject(seq: number): string {
    return this.#subjects[seq] ?? BATCH;
  }

  /** All messages, with what ends them. To be called once. */
  finish(): Uint8Array {
    this.#add(BATCH_END, 0, BATCH, new Writer().u8(NFPROTO_UNSPEC).u8(0).u16be(SUBSYSTEM));
    return this.#w.finish();
  }

  #add(type: number, flags: number, subject: string, body: Writer): void {
    const seq = this.#subjects.push(subject) - 1;
    encodeMessage(this.#w, { type, flags: NlmFlag.REQUEST | flags, seq, body: body.finish() });
  }
}
