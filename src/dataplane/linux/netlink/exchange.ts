import { setImmediate as nextTurn } from "node:timers/promises";
import { TruncatedError } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { toError } from "../../../base/errors/errors.ts";
import { ackError, NetlinkSocketError } from "./errors.ts";
import { decodeAck, decodeDone } from "./ext-ack.ts";
import {
  decodeMessages,
  eachMessage,
  encodeMessage,
  messageLength,
  NetlinkFormatError,
  type NetlinkMessage,
  NlmFlag,
  NlmType,
} from "./nlmsg.ts";
import type { NetlinkDump, NetlinkRequest } from "./request.ts";

/** Messages decoded between two turns of the event loop: a few milliseconds. */
const DECODE_SLICE = 500;

/** What became of one request. */
export type Outcome<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: Error };

/** Sequence numbers are 32 bits; 0 is what the kernel's own notifications have. */
export function seqAfter(seq: number, count: number): number {
  const next = seq + count;
  return next > 0xffff_ffff ? 1 + (next - 0x1_0000_0000) : next;
}

/** Requests end to end, the first with `firstSeq`, in one datagram. The kernel does them in this order. */
export function encodeBatch(requests: readonly NetlinkRequest<unknown>[], firstSeq: number): Uint8Array {
  const w = new Writer(requests.reduce((sum, r) => sum + messageLength(r.body.length), 0));
  let seq = firstSeq;
  for (const { type, flags, body } of requests) {
    encodeMessage(w, { type, flags: flags | NlmFlag.REQUEST | NlmFlag.ACK, seq, body });
    seq = seqAfter(seq, 1);
  }
  return w.finish();
}

/**
 * Gives each request of a batch what the answers say about it. `where` is added to the words of errors. Answers that
 * can't be read make every request fail with BAD_ANSWER: what they did is not known.
 */
export function decodeBatch(
  requests: readonly NetlinkRequest<unknown>[],
  firstSeq: number,
  answers: Uint8Array,
  where = "",
): Outcome<unknown>[] {
  const bySeq = new Map<number, NetlinkMessage[]>();
  let seq = firstSeq;
  const answered = requests.map((request) => {
    const messages: NetlinkMessage[] = [];
    bySeq.set(seq, messages);
    seq = seqAfter(seq, 1);
    return { request, messages };
  });
  try {
    // What has another number answers an earlier batch whose first answers were lost.
    for (const message of decodeMessages(answers)) bySeq.get(message.seq)?.push(message);
  } catch (e) {
    return requests.map((request) => ({ ok: false, error: badAnswer(request.words + where, e) }));
  }
  return answered.map(({ request, messages }) => outcomeOf(request, messages, where));
}

function outcomeOf(
  request: NetlinkRequest<unknown>,
  messages: readonly NetlinkMessage[],
  where: string,
): Outcome<unknown> {
  const words = request.words + where;
  try {
    const end = messages.find((m) => m.type === NlmType.ERROR);
    if (end === undefined) {
      // The kernel skips the acknowledgement when a request was interrupted (netlink_rcv_skb on -EINTR).
      return { ok: false, error: new NetlinkSocketError(words, "NO_ANSWER", "the kernel did not acknowledge") };
    }
    const ack = decodeAck(end);
    if (ack.errno !== 0) return { ok: false, error: ackError({ ...request, words }, ack) };
    return { ok: true, value: request.decode(messages.filter((m) => m.type > NlmType.OVERRUN)) };
  } catch (e) {
    return { ok: false, error: badAnswer(words, e) };
  }
}

function badAnswer(words: string, e: unknown): Error {
  if (!(e instanceof TruncatedError || e instanceof NetlinkFormatError)) return toError(e);
  return new NetlinkSocketError(words, "BAD_ANSWER", e.message, { cause: e });
}

/** A dump's request in a datagram of its own: a socket does one dump at a time. */
export function encodeDump(dump: NetlinkDump<unknown>, seq: number): Uint8Array {
  const w = new Writer(messageLength(dump.body.length));
  encodeMessage(w, { type: dump.type, flags: NlmFlag.REQUEST | NlmFlag.DUMP, seq, body: dump.body });
  return w.finish();
}

/**
 * The objects of a dump, or undefined when the kernel says that its state changed meanwhile (NLM_F_DUMP_INTR), so that
 * entries may be missing or double. Rejects with NetlinkError for a refused dump, NetlinkSocketError for an incomplete
 * one. A dump may have 100,000 entries: the event loop gets its turn after each slice of them.
 */
export async function decodeDump<T>(
  dump: NetlinkDump<T>,
  seq: number,
  answers: Uint8Array,
  where = "",
): Promise<T[] | undefined> {
  const words = dump.words + where;
  const objects: T[] = [];
  try {
    let count = 0;
    for (const message of eachMessage(answers)) {
      if (++count % DECODE_SLICE === 0) await nextTurn();
      if (message.seq !== seq) continue;
      if ((message.flags & NlmFlag.DUMP_INTR) !== 0) return undefined;
      if (message.type === NlmType.ERROR || message.type === NlmType.DONE) {
        const ack = message.type === NlmType.DONE ? decodeDone(message) : decodeAck(message);
        if (ack.errno !== 0) throw ackError({ ...dump, words }, ack);
        return objects;
      }
      const object = message.type > NlmType.OVERRUN ? dump.decode(message) : undefined;
      if (object !== undefined) objects.push(object);
    }
  } catch (e) {
    throw badAnswer(words, e);
  }
  throw new NetlinkSocketError(words, "NO_ANSWER", "the dump did not end");
}
