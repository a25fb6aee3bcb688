import type { GroupOp } from "../../../../kvscheduler/api/descriptor.ts";
import type { NftElementValue, NftSetValue } from "../../../../models/nft.ts";
import { errnoName } from "../../netlink/errno.ts";
import { decodeAck } from "../../netlink/ext-ack.ts";
import { type NativeNetlinkSocket, NetlinkProtocol, native } from "../../netlink/native.ts";
import { decodeMessages, NlmType } from "../../netlink/nlmsg.ts";
import { NftError } from "../nft.ts";
import { NftBatch } from "./batch.ts";
import { addChain } from "./chains.ts";
import { addElements, type ElementChange } from "./elements.ts";
import { addSet } from "./sets.ts";

/** Well inside the socket's send buffer, and the addon's bound. What is larger is worth a process. */
const MOST_BYTES = 256 << 10;
/** Answers wait in the receive buffer until all messages are done. */
const MOST_MESSAGES = 1024;
/** In bytes: that of a port. */
const SMALLEST_ELEMENT = 16;

/**
 * The operations as one batch, if all of them can be written without what only nft knows: what pods and policies change all the
 * time. Not written are the table, base chains, maps, sets of intervals, and rules with other statements than policies have.
 * `sets` are those that the kernel has.
 */
export function directBatch(ops: readonly GroupOp[], sets: ReadonlyMap<string, NftSetValue>): NftBatch | undefined {
  const batch = new NftBatch();
  const made = new Map<string, NftSetValue>();
  const setOf = (name: string) => made.get(name) ?? sets.get(name);
  let elements: ElementChange[] = [];
  const flush = (): boolean => {
    const changes = elements;
    elements = [];
    return addElements(batch, changes);
  };
  const isTooLarge = () =>
    batch.count > MOST_MESSAGES || batch.length + SMALLEST_ELEMENT * elements.length > MOST_BYTES;
  for (const op of ops) {
    // As soon as that is clear: there may be tens of thousands more, and the event loop waits.
    if (isTooLarge()) return undefined;
    if (op.descriptor === "nft-element") {
      const changes = elementChanges(op, setOf);
      if (changes === undefined) return undefined;
      elements.push(...changes);
    } else if (!flush() || !addObject(batch, op)) {
      return undefined;
    } else if (op.descriptor === "nft-set") {
      const set = op.value as NftSetValue;
      made.set(set.name, set);
    }
  }
  return flush() && !isTooLarge() ? batch : undefined;
}

function addObject(batch: NftBatch, op: GroupOp): boolean {
  if (op.descriptor === "nft-set") return addSet(batch, op);
  return op.descriptor === "nft-chain" && addChain(batch, op);
}

function elementChanges(op: GroupOp, setOf: (name: string) => NftSetValue | undefined): ElementChange[] | undefined {
  const element = op.value as NftElementValue;
  const set = setOf(element.set);
  if (set === undefined) return undefined;
  if (op.kind === "delete") return [{ kind: "remove", set, element }];
  const added: ElementChange = { kind: "add", set, element };
  return op.kind === "update" ? [{ kind: "remove", set, element: op.oldValue as NftElementValue }, added] : [added];
}

/**
 * Has the kernel carry out batches, in this process's namespace unless told otherwise. To start `nft` for them takes a quarter of
 * the time that a pod's ADD has, and it reads much of the table first.
 */
export class DirectNft {
  readonly #open: () => Promise<NativeNetlinkSocket>;
  #socket: Promise<NativeNetlinkSocket> | undefined;

  constructor(open = () => native().openNetlink({ protocol: NetlinkProtocol.NETFILTER })) {
    this.#open = open;
  }

  /** All of it, or nothing. @throws NftError REFUSED, and what a netlink socket does. */
  async commit(batch: NftBatch): Promise<void> {
    this.#socket ??= this.#open();
    const answers = decodeMessages(await (await this.#socket).transact(batch.finish()));
    const errors = answers.filter(({ type }) => type === NlmType.ERROR);
    for (const message of errors) {
      const { errno, text } = decodeAck(message);
      if (errno === 0) continue;
      throw new NftError("REFUSED", `${batch.subject(message.seq)}: ${text ?? `error ${errnoName(errno)}`}`);
    }
    if (errors.length < batch.count) throw new NftError("REFUSED", "the kernel did not acknowledge all of the batch");
  }

  async close(): Promise<void> {
    (await this.#socket)?.close();
  }
}
