import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "../netlink/attr.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { type FlowTuple, readTuple, tupleFamily, writeTuple } from "./tuple.ts";

/** NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_* (linux/netfilter/nfnetlink.h, nfnetlink_conntrack.h). */
export const FlowMsg = { NEW: 0x100, GET: 0x101, DELETE: 0x102 } as const;

/** CTA_* of linux/netfilter/nfnetlink_conntrack.h. */
export const FlowAttr = {
  TUPLE_ORIG: 1,
  TUPLE_REPLY: 2,
  STATUS: 3,
  PROTOINFO: 4,
  TIMEOUT: 7,
  MARK: 8,
  USE: 11,
  ID: 12,
  ZONE: 18,
  MARK_MASK: 21,
  FILTER: 25,
} as const;

/** IPS_* of linux/netfilter/nf_conntrack_common.h. */
export const FlowStatus = {
  SEEN_REPLY: 2,
  ASSURED: 4,
  CONFIRMED: 8,
  SRC_NAT: 0x10,
  DST_NAT: 0x20,
  DYING: 0x200,
} as const;

/** struct nfgenmsg: family, version, resource id. */
export const NFGENMSG_LENGTH = 4;

/** One entry of the connection tracking table: a flow as it began, and as its answers come. */
export interface Flow {
  readonly original: FlowTuple;
  /** Its source is who really answers: the pod, where the destination was translated. */
  readonly reply?: FlowTuple;
  /** {@link FlowStatus}. */
  readonly status?: number;
  readonly mark?: number;
  /** Tells an entry from a later one of the same tuples. */
  readonly id?: number;
  /** The bits of {@link mark} that a request is about; all if absent. */
  readonly markMask?: number;
  /** Absent: 0, the one that all are in unless a rule says otherwise. */
  readonly zone?: number;
  /** Seconds until it ends unless a packet comes. */
  readonly timeout?: number;
}

/** The header of every message of nfnetlink. */
export function writeNfHeader(w: Writer, family: number): void {
  w.u8(family).u8(0).u16be(0);
}

export function encodeFlow(flow: Flow): Uint8Array {
  const w = new Writer();
  writeNfHeader(w, tupleFamily(flow.original) ?? AddressFamily.UNSPEC);
  const a = new AttrWriter(w);
  writeTuple(a, FlowAttr.TUPLE_ORIG, flow.original);
  if (flow.reply) writeTuple(a, FlowAttr.TUPLE_REPLY, flow.reply);
  a.u16be(FlowAttr.ZONE, flow.zone);
  a.u32be(FlowAttr.STATUS, flow.status).u32be(FlowAttr.MARK, flow.mark);
  a.u32be(FlowAttr.MARK_MASK, flow.markMask);
  a.u32be(FlowAttr.ID, flow.id).u32be(FlowAttr.TIMEOUT, flow.timeout);
  return w.finish();
}

export function decodeFlow(body: Uint8Array): Flow {
  const r = new Reader(body);
  r.skip(NFGENMSG_LENGTH);
  const a = new Attrs(r.rest());
  const original = a.nested(FlowAttr.TUPLE_ORIG);
  const reply = a.nested(FlowAttr.TUPLE_REPLY);
  return present<Flow>({
    original: original ? readTuple(original) : {},
    reply: reply && readTuple(reply),
    status: a.u32be(FlowAttr.STATUS),
    mark: a.u32be(FlowAttr.MARK),
    id: a.u32be(FlowAttr.ID),
    zone: a.u16be(FlowAttr.ZONE),
    timeout: a.u32be(FlowAttr.TIMEOUT),
  });
}
