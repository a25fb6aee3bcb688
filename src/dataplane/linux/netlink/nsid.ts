import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { NlmFlag } from "./nlmsg.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*NSID of linux/rtnetlink.h. */
export const NsidMsg = { NEW: 88, DEL: 89, GET: 90 } as const;

/** NETNSA_* of linux/net_namespace.h. */
const NsidAttr = { NSID: 1, PID: 2, FD: 3, TARGET_NSID: 4, CURRENT_NSID: 5 } as const;

/** struct rtgenmsg is one byte, padded. */
const HEADER = 4;
const SCHEMA: AttrSchema = {
  skip: HEADER,
  names: Object.fromEntries(Object.entries(NsidAttr).map(([k, v]) => [`NETNSA_${k}`, v])),
};

/** NETNSA_NSID of a namespace that has no id here. */
export const NSID_NOT_ASSIGNED = -1;

/** struct rtgenmsg and its attributes: the id that one namespace is known by in another. */
export interface NsidMessage {
  readonly nsid?: number;
  /** Open descriptor of the namespace. */
  readonly fd?: number;
  /** A process in the namespace. */
  readonly pid?: number;
  readonly targetNsid?: number;
  readonly currentNsid?: number;
}

export function encodeNsid(message: NsidMessage): Uint8Array {
  const w = new Writer();
  w.zeros(HEADER);
  const a = new AttrWriter(w);
  a.i32(NsidAttr.NSID, message.nsid).u32(NsidAttr.PID, message.pid).u32(NsidAttr.FD, message.fd);
  a.i32(NsidAttr.TARGET_NSID, message.targetNsid).i32(NsidAttr.CURRENT_NSID, message.currentNsid);
  return w.finish();
}

export function decodeNsid(body: Uint8Array): NsidMessage {
  const r = new Reader(body);
  r.skip(HEADER);
  const a = new Attrs(r.rest());
  return present<NsidMessage>({
    nsid: a.i32(NsidAttr.NSID),
    fd: a.u32(NsidAttr.FD),
    pid: a.u32(NsidAttr.PID),
    targetNsid: a.i32(NsidAttr.TARGET_NSID),
    currentNsid: a.i32(NsidAttr.CURRENT_NSID),
  });
}

/** The id of the namespace behind `fd` as the socket's namespace has it; undefined when it has none. */
export function nsidGet(fd: number): NetlinkRequest<number | undefined> {
  return {
    type: NsidMsg.GET,
    flags: NlmFlag.REQUEST | NlmFlag.ACK,
    body: encodeNsid({ fd }),
    words: `read the id of netns fd ${fd}`,
    schema: SCHEMA,
    decode: (answers) => {
      const found = answers.find((m) => m.type === NsidMsg.NEW);
      const nsid = found && decodeNsid(found.body).nsid;
      return nsid === NSID_NOT_ASSIGNED ? undefined : nsid;
    },
  };
}

/** Gives the namespace behind `fd` an id, -1 for any that is free; EEXIST where it has one. Ids can't be taken back. */
export function nsidAdd(fd: number, nsid = NSID_NOT_ASSIGNED): NetlinkRequest {
  return {
    type: NsidMsg.NEW,
    flags: ModifyFlags.CREATE,
    body: encodeNsid({ fd, nsid }),
    words: `give netns fd ${fd} the id ${nsid === NSID_NOT_ASSIGNED ? "that is next" : nsid}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** The ids of all namespaces that have one in the socket's namespace. */
export function nsidDump(): NetlinkDump<number> {
  return {
    type: NsidMsg.GET,
    body: new Writer(HEADER).zeros(HEADER).finish(),
    words: "read all netns ids",
    schema: SCHEMA,
    decode: (m) => (m.type === NsidMsg.NEW ? decodeNsid(m.body).nsid : undefined),
  };
}
