import { NLA_TYPE_MASK } from "./attr.ts";
import { LinkMsg } from "./link.ts";
import { NLMSG_HEADER_LENGTH } from "./nlmsg.ts";

/** IFLA_STATS and IFLA_STATS64, which no filter leaves out of a dump. */
const COUNTERS: ReadonlySet<number> = new Set([7, 23]);
/** struct ifinfomsg. */
const HEADER = 16;
const NLA_HEADER = 4;

const aligned = (length: number): number => (length + 3) & ~3;

/**
 * Sets the counters of all links in a dump's answers to 0, so that answers of links that have but counted on are the same bytes.
 * What is no netlink message stays as it is, for the decoder to complain of.
 */
export function blankCounters(answers: Uint8Array): void {
  const view = new DataView(answers.buffer, answers.byteOffset, answers.byteLength);
  for (let at = 0; at + NLMSG_HEADER_LENGTH <= answers.length; ) {
    const length = view.getUint32(at, true);
    const end = at + length;
    if (length < NLMSG_HEADER_LENGTH || end > answers.length) return;
    if (view.getUint16(at + 4, true) === LinkMsg.NEW) blankIn(view, at + NLMSG_HEADER_LENGTH + HEADER, end);
    at += aligned(length);
  }
}

function blankIn(view: DataView, from: number, end: number): void {
  for (let at = from; at + NLA_HEADER <= end; ) {
    const length = view.getUint16(at, true);
    if (length < NLA_HEADER || at + length > end) return;
    if (COUNTERS.has(view.getUint16(at + 2, true) & NLA_TYPE_MASK)) {
      new Uint8Array(view.buffer, view.byteOffset + at + NLA_HEADER, length - NLA_HEADER).fill(0);
    }
    at += aligned(length);
  }
}
