import { Writer } from "../../../base/bytes/writer.ts";
import { AttrWriter, NLA_F_NESTED } from "../netlink/attr.ts";
import type { AttrSchema } from "../netlink/ext-ack.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "../netlink/request.ts";
import { decodeFlow, encodeFlow, type Flow, FlowAttr, FlowMsg, NFGENMSG_LENGTH, writeNfHeader } from "./flow.ts";
import { describeTuple, type FlowTuple, TupleAttr, tupleFamily, writeTuple } from "./tuple.ts";

/** CTA_FILTER_ORIG_FLAGS. */
const FILTER_ORIG_FLAGS = 1;
/** CTA_FILTER_F_CTA_* of the kernel's nf_internals.h: which parts of the tuple count. */
const FilterFlag = { IP_SRC: 1, IP_DST: 2, PROTO_NUM: 8, PROTO_SRC_PORT: 16, PROTO_DST_PORT: 32 } as const;

const TUPLE: AttrSchema = { skip: 0, names: { CTA_TUPLE_IP: TupleAttr.IP, CTA_TUPLE_PROTO: TupleAttr.PROTO } };
const SCHEMA: AttrSchema = {
  skip: NFGENMSG_LENGTH,
  names: Object.fromEntries(Object.entries(FlowAttr).map(([name, type]) => [`CTA_${name}`, type])),
  nested: { [FlowAttr.TUPLE_ORIG]: TUPLE, [FlowAttr.TUPLE_REPLY]: TUPLE },
};

/** What a dump of flows is limited to. */
export interface FlowFilter {
  readonly family: typeof AddressFamily.INET | typeof AddressFamily.INET6;
  /** What the flow's beginning must have; ports need the protocol with them. */
  readonly original: Pick<FlowTuple, "destination" | "destinationPort" | "protocol">;
}

/**
 * The flows that the filter lets through, each as `pick` makes it; `undefined` leaves one out. The kernel does the
 * choosing (CTA_FILTER, Linux 5.8; older ones show everything of the family), so it is applied once more.
 */
export function flowDump<T>(filter: FlowFilter, pick: (flow: Flow) => T | undefined): NetlinkDump<T> {
  const { family, original } = filter;
  const flags =
    (original.destination === undefined ? 0 : FilterFlag.IP_DST) |
    (original.protocol === undefined ? 0 : FilterFlag.PROTO_NUM) |
    (original.destinationPort === undefined ? 0 : FilterFlag.PROTO_DST_PORT);
  const w = new Writer();
  writeNfHeader(w, family);
  if (flags !== 0) {
    const a = new AttrWriter(w);
    writeTuple(a, FlowAttr.TUPLE_ORIG, original);
    // Checked strictly by the kernel, unlike the rest: without the flag it is refused.
    a.nest(FlowAttr.FILTER | NLA_F_NESTED, () => a.u32(FILTER_ORIG_FLAGS, flags));
  }
  return {
    type: FlowMsg.GET,
    body: w.finish(),
    words: `read the flows ${describeTuple(original) || `of family ${family}`}`,
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== FlowMsg.NEW) return undefined;
      const flow = decodeFlow(m.body);
      return matches(flow.original, filter) ? pick(flow) : undefined;
    },
  };
}

function matches(tuple: FlowTuple, { family, original }: FlowFilter): boolean {
  return (
    tupleFamily(tuple) === family &&
    (original.destination ?? tuple.destination) === tuple.destination &&
    (original.protocol ?? tuple.protocol) === tuple.protocol &&
    (original.destinationPort ?? tuple.destinationPort) === tuple.destinationPort
  );
}

/**
 * Ends the tracking of a flow: its next packet begins a new one. ENOENT where there is none with these tuples, or another
 * one than `id` says. All of `original` must be there.
 */
export function flowDelete({ original, zone, id }: Pick<Flow, "id" | "original" | "zone">): NetlinkRequest {
  // Without a tuple the kernel takes the request for one to delete everything.
  if (tupleFamily(original) === undefined) throw new RangeError("a flow without addresses cannot be deleted");
  return {
    type: FlowMsg.DELETE,
    flags: ModifyFlags.CHANGE,
    body: encodeFlow({ original, ...(zone === undefined ? {} : { zone }), ...(id === undefined ? {} : { id }) }),
    words: `delete the flow ${describeTuple(original)}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/**
 * Sets the bits `markMask` of a flow's mark to those of `mark`. ENOENT where there is no flow with these tuples (any more), or
 * another one than `id` says.
 */
export function flowMark(flow: Required<Pick<Flow, "mark" | "markMask">> & Pick<Flow, "id" | "original" | "zone">) {
  const { original, zone, id, mark, markMask } = flow;
  const request: NetlinkRequest = {
    type: FlowMsg.NEW,
    // Without NLM_F_CREATE: only what is there.
    flags: ModifyFlags.CHANGE,
    body: encodeFlow({
      original,
      mark,
      markMask,
      ...(zone === undefined ? {} : { zone }),
      ...(id === undefined ? {} : { id }),
    }),
    words: `mark the flow ${describeTuple(original)}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
  return request;
}
