import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, NLA_F_NESTED, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { TC_HEADER, TcAttr } from "./qdisc.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*TFILTER of linux/rtnetlink.h. */
export const FilterMsg = { NEW: 44, DEL: 45, GET: 46 } as const;

const U32Attr = { CLASSID: 1, HASH: 2, LINK: 3, DIVISOR: 4, SEL: 5, POLICE: 6, ACT: 7 } as const;
const ActionAttr = { KIND: 1, OPTIONS: 2 } as const;
const MIRRED_PARMS = 2;
/** TC_U32_TERMINAL: what matches goes no further. */
const U32_TERMINAL = 1;
/** TC_ACT_STOLEN: the packet has left for elsewhere. */
const ACT_STOLEN = 4;
/** TCA_EGRESS_REDIR. */
const EGRESS_REDIRECT = 1;
const ETH_P_ALL = 3;

/** A filter; of its options only the redirection of everything to another link is known here. */
export interface FilterMessage {
  /** Index of the link. */
  readonly index: number;
  /** The discipline that it hangs on, `TcHandle.INGRESS_FILTERS` for an ingress one. */
  readonly parent: number;
  /** Given by the kernel. */
  readonly handle?: number;
  /** The order among a discipline's filters, 1 to 65535. */
  readonly priority: number;
  /** Ethernet protocol; 3 is all. */
  readonly protocol?: number;
  readonly kind?: string;
  /** Index of the link that packets are sent out of instead, as an IFB. */
  readonly redirectTo?: number;
}

/** A u32 filter with one key that matches everything: kernels have u32 where they lack matchall. */
export function encodeFilter(f: FilterMessage): Uint8Array {
  const w = new Writer();
  w.zeros(4)
    .i32(f.index)
    .u32(f.handle ?? 0)
    .u32(f.parent);
  // The protocol is in network order inside the lower half.
  w.u16be(f.protocol ?? ETH_P_ALL).u16(f.priority);
  const a = new AttrWriter(w);
  a.string(TcAttr.KIND, f.kind);
  const { redirectTo } = f;
  if (redirectTo === undefined) return w.finish();
  a.nest(TcAttr.OPTIONS, () => {
    a.nest(U32Attr.ACT, () => a.nest(1, () => writeMirred(a, redirectTo)));
    // struct tc_u32_sel: flags, shift, number of keys; then the key: mask 0, value 0, offset 0.
    a.bytes(U32Attr.SEL, new Writer(32).u8(U32_TERMINAL).u8(0).u8(1).zeros(29).finish());
  });
  return w.finish();
}

function writeMirred(a: AttrWriter, index: number): void {
  a.string(ActionAttr.KIND, "mirred");
  // struct tc_mirred: index, capab, action, refcnt, bindcnt, eaction, ifindex.
  const parms = new Writer(28).zeros(8).i32(ACT_STOLEN).zeros(8).i32(EGRESS_REDIRECT).u32(index);
  a.nest(ActionAttr.OPTIONS | NLA_F_NESTED, () => a.bytes(MIRRED_PARMS, parms.finish()));
}

export function decodeFilter(body: Uint8Array): FilterMessage {
  const r = new Reader(body);
  r.skip(4);
  const index = r.i32();
  const handle = r.u32();
  const parent = r.u32();
  const protocol = r.u16be();
  const priority = r.u16();
  const a = new Attrs(r.rest());
  const kind = a.string(TcAttr.KIND);
  const action = kind === "u32" ? a.nested(TcAttr.OPTIONS)?.nested(U32Attr.ACT)?.nested(1) : undefined;
  return present<FilterMessage>({
    index,
    parent,
    handle: handle || undefined,
    priority,
    protocol,
    kind,
    redirectTo: action && readMirred(action),
  });
}

function readMirred(action: Attrs): number | undefined {
  if (action.string(ActionAttr.KIND) !== "mirred") return undefined;
  return action.nested(ActionAttr.OPTIONS)?.struct(MIRRED_PARMS, (r) => {
    r.skip(20);
    const kind = r.i32();
    const index = r.u32();
    return kind === EGRESS_REDIRECT ? index : undefined;
  });
}

const SCHEMA: AttrSchema = {
  skip: TC_HEADER,
  names: { TCA_KIND: TcAttr.KIND, TCA_OPTIONS: TcAttr.OPTIONS },
  nested: {
    [TcAttr.OPTIONS]: {
      skip: 0,
      names: Object.fromEntries(Object.entries(U32Attr).map(([k, v]) => [`TCA_U32_${k}`, v])),
    },
  },
};

/** Sends everything that enters at `index` (which needs an ingress discipline) out of `redirectTo` instead. */
export function redirectAdd(f: {
  readonly index: number;
  readonly parent: number;
  readonly priority: number;
  readonly redirectTo: number;
}): NetlinkRequest {
  return {
    type: FilterMsg.NEW,
    flags: ModifyFlags.CREATE,
    body: encodeFilter({ ...f, kind: "u32" }),
    words: `redirect from link ${f.index} to link ${f.redirectTo}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** Deletes the filters of a priority; ENOENT where there are none. */
export function filterDelete(f: {
  readonly index: number;
  readonly parent: number;
  readonly priority: number;
}): NetlinkRequest {
  return {
    type: FilterMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeFilter(f),
    words: `delete filter ${f.priority} from link ${f.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** The filters of one discipline. */
export function filterDump(place: { readonly index: number; readonly parent: number }): NetlinkDump<FilterMessage> {
  const w = new Writer(TC_HEADER);
  w.zeros(4).i32(place.index).u32(0).u32(place.parent).u32(0);
  return {
    type: FilterMsg.GET,
    body: w.finish(),
    words: `read the filters of link ${place.index}`,
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== FilterMsg.NEW) return undefined;
      const f = decodeFilter(m.body);
      // A u32 filter's hash table comes as an entry of its own, without options.
      return f.kind === "u32" && f.redirectTo === undefined ? undefined : f;
    },
  };
}
