import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*QDISC of linux/rtnetlink.h. */
export const QdiscMsg = { NEW: 36, DEL: 37, GET: 38 } as const;

/** TC_H_*: places in a link's tree of queueing disciplines, major number in the upper half. */
export const TcHandle = {
  ROOT: 0xffff_ffff,
  /** Parent of the ingress and clsact disciplines. */
  INGRESS: 0xffff_fff1,
  /** Handle of the ingress discipline, `ffff:`, and parent of its filters. */
  INGRESS_FILTERS: 0xffff_0000,
  /** Parents of the filters of a clsact discipline. */
  CLSACT_INGRESS: 0xffff_fff2,
  CLSACT_EGRESS: 0xffff_fff3,
} as const;

/** TCA_*. */
export const TcAttr = { KIND: 1, OPTIONS: 2, CHAIN: 11 } as const;
const TbfAttr = { PARMS: 1, RTAB: 2, PTAB: 3, RATE64: 4, PRATE64: 5, BURST: 6, PBURST: 7 } as const;

/** struct tcmsg. */
export const TC_HEADER = 20;
const RATESPEC = 12;
/** TC_LINKLAYER_ETHERNET; without it the kernel wants tables of transmission times (linux/pkt_sched.h). */
const LINKLAYER_ETHERNET = 1;
/** A tick of the packet scheduler is 64 ns (PSCHED_SHIFT). */
const TICK_NS = 64;
const U32_MAX = 0xffff_ffff;

/** A token bucket: at most `rate` in the long run, `burst` at once. */
export interface Tbf {
  /** Bytes per second. */
  readonly rate: number;
  /** Bytes; at least the link's MTU, and rate / HZ for the rate to be reached. */
  readonly burst: number;
  /** Bytes that may wait; what comes on top is dropped. See {@link tbfLimit}. */
  readonly limit: number;
}

/** What a queueing discipline is; kinds that this codec does not look into have `kind: "other"`. */
export type QdiscInfo =
  | { readonly kind: "tbf"; readonly tbf?: Tbf }
  | { readonly kind: "ingress" }
  | { readonly kind: "clsact" }
  | { readonly kind: "other"; readonly name: string };

/** struct tcmsg and its attributes. */
export interface QdiscMessage {
  /** Index of the link. */
  readonly index: number;
  /** Major number in the upper half: `1:` is 0x10000. */
  readonly handle?: number;
  readonly parent: number;
  readonly info?: QdiscInfo;
}

/** The `limit` by which nothing waits longer than `latencyMs`. */
export function tbfLimit(rate: number, burst: number, latencyMs: number): number {
  return Math.min(Math.floor((rate * latencyMs) / 1000) + burst, U32_MAX);
}

export function encodeQdisc(q: QdiscMessage): Uint8Array {
  const w = new Writer();
  w.zeros(4)
    .i32(q.index)
    .u32(q.handle ?? 0)
    .u32(q.parent)
    .u32(0);
  const a = new AttrWriter(w);
  const { info } = q;
  if (info === undefined) return w.finish();
  a.string(TcAttr.KIND, info.kind === "other" ? info.name : info.kind);
  if (info.kind === "tbf" && info.tbf !== undefined) writeTbf(a, info.tbf);
  return w.finish();
}

function writeTbf(a: AttrWriter, tbf: Tbf): void {
  const ns = Math.floor((tbf.burst * 1e9) / tbf.rate);
  const parms = new Writer(36);
  parms.u8(0).u8(LINKLAYER_ETHERNET).u16(0).i16(0).u16(0);
  parms.u32(Math.min(tbf.rate, U32_MAX));
  parms.zeros(RATESPEC);
  parms
    .u32(tbf.limit)
    .u32(Math.min(Math.floor(ns / TICK_NS), U32_MAX))
    .u32(0);
  a.nest(TcAttr.OPTIONS, () => {
    a.bytes(TbfAttr.PARMS, parms.finish());
    if (tbf.rate > U32_MAX) a.u64(TbfAttr.RATE64, BigInt(tbf.rate));
    // Exact, while the time in ticks above is rounded and overflows at low rates.
    a.u32(TbfAttr.BURST, tbf.burst);
  });
}

export function decodeQdisc(body: Uint8Array): QdiscMessage {
  const r = new Reader(body);
  r.skip(4);
  const index = r.i32();
  const handle = r.u32();
  const parent = r.u32();
  r.skip(4);
  const a = new Attrs(r.rest());
  return present<QdiscMessage>({ index, handle: handle || undefined, parent, info: readInfo(a) });
}

function readInfo(a: Attrs): QdiscInfo | undefined {
  const kind = a.string(TcAttr.KIND);
  switch (kind) {
    case undefined:
      return undefined;
    case "tbf": {
      const options = a.nested(TcAttr.OPTIONS);
      const tbf = options && readTbf(options);
      return tbf === undefined ? { kind } : { kind, tbf };
    }
    case "ingress":
    case "clsact":
      return { kind };
    default:
      return { kind: "other", name: kind };
  }
}

function readTbf(a: Attrs): Tbf | undefined {
  const rate64 = a.u64(TbfAttr.RATE64);
  const burst = a.u32(TbfAttr.BURST);
  return a.struct(TbfAttr.PARMS, (r) => {
    r.skip(8);
    const rate32 = r.u32();
    r.skip(RATESPEC);
    const limit = r.u32();
    const ticks = r.u32();
    const rate = rate64 === undefined ? rate32 : Number(rate64);
    // The kernel tells the time that the burst takes, in whole ticks: up to one tick's bytes are lost.
    return { rate, limit, burst: burst ?? Math.round((ticks * TICK_NS * rate) / 1e9) };
  });
}

const SCHEMA: AttrSchema = {
  skip: TC_HEADER,
  names: { TCA_KIND: TcAttr.KIND, TCA_OPTIONS: TcAttr.OPTIONS },
  nested: {
    [TcAttr.OPTIONS]: {
      skip: 0,
      names: Object.fromEntries(Object.entries(TbfAttr).map(([k, v]) => [`TCA_TBF_${k}`, v])),
    },
  },
};

/** The ingress discipline of a link, which filters can be hung on. */
export const ingressQdisc = (index: number): QdiscMessage => ({
  index,
  handle: TcHandle.INGRESS_FILTERS,
  parent: TcHandle.INGRESS,
  info: { kind: "ingress" },
});

function describe(q: QdiscMessage): string {
  const { info } = q;
  if (info?.kind !== "tbf" || info.tbf === undefined) {
    return info?.kind === "other" ? info.name : (info?.kind ?? "qdisc");
  }
  return `tbf (${info.tbf.rate} B/s, burst ${info.tbf.burst} B)`;
}

/** Adds a queueing discipline; EEXIST where its place is taken, unless `replace`. */
export function qdiscAdd(q: QdiscMessage, mode: "create" | "replace" = "replace"): NetlinkRequest {
  return {
    type: QdiscMsg.NEW,
    flags: mode === "create" ? ModifyFlags.CREATE : ModifyFlags.REPLACE,
    body: encodeQdisc(q),
    words: `${mode === "create" ? "add" : "set"} ${describe(q)} on link ${q.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** Removes what is at `parent`, its filters with it; the root gets its default back. ENOENT where nothing was added. */
export function qdiscDelete(q: Pick<QdiscMessage, "index" | "parent">): NetlinkRequest {
  return {
    type: QdiscMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeQdisc({ index: q.index, parent: q.parent }),
    words: `delete the qdisc from link ${q.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** All queueing disciplines, or those of one link. The kernel's dump is not filtered: choosing is done here. */
export function qdiscDump(filter: { readonly index?: number } = {}): NetlinkDump<QdiscMessage> {
  return {
    type: QdiscMsg.GET,
    body: new Writer(TC_HEADER).zeros(TC_HEADER).finish(),
    words: filter.index === undefined ? "read all qdiscs" : `read the qdiscs of link ${filter.index}`,
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== QdiscMsg.NEW) return undefined;
      const q = decodeQdisc(m.body);
      return filter.index === undefined || q.index === filter.index ? q : undefined;
    },
  };
}
