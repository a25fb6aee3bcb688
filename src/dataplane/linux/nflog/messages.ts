import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { NFGENMSG_LENGTH } from "../conntrack/flow.ts";
import { Attrs, AttrWriter } from "../netlink/attr.ts";
import type { NetlinkMessage } from "../netlink/nlmsg.ts";
import { ModifyFlags, type NetlinkRequest, noAnswer } from "../netlink/request.ts";

// linux/netfilter/nfnetlink_log.h: packets that a rule with `log group N` tells user space of.

/** NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_*. */
export const LogMsg = { PACKET: 0x0400, CONFIG: 0x0401 } as const;
/** NFULA_CFG_*. */
const ConfigAttr = { CMD: 1, MODE: 2, TIMEOUT: 4 } as const;
const CMD_BIND = 1;
const COPY_PACKET = 2;
/** NFULA_*. */
const PacketAttr = { PAYLOAD: 9, PREFIX: 10 } as const;

/** Hundredths of a second that the kernel may collect packets for one message. */
const COLLECT = 10;

/** A packet that was logged: the rule's prefix, and the packet from its IP header on, perhaps cut off. */
export interface LoggedPacket {
  readonly prefix: string;
  readonly payload: Uint8Array;
}

/**
 * Makes the socket that sends it the one that is told of a group's packets, as long as it lives. Refused with EPERM where
 * another socket is, with EINVAL by a kernel without nfnetlink_log.
 */
export function bindGroup(group: number, copyBytes: number): NetlinkRequest {
  const w = new Writer(64);
  w.u8(0).u8(0).u16be(group); // struct nfgenmsg: family, version, res_id
  const mode = new Writer(6).u32be(copyBytes).u8(COPY_PACKET).u8(0).finish();
  new AttrWriter(w).u8(ConfigAttr.CMD, CMD_BIND).bytes(ConfigAttr.MODE, mode).u32be(ConfigAttr.TIMEOUT, COLLECT);
  return {
    type: LogMsg.CONFIG,
    flags: ModifyFlags.CHANGE,
    body: w.finish(),
    words: `follow group ${group} of nfnetlink_log`,
    schema: {
      skip: NFGENMSG_LENGTH,
      names: { NFULA_CFG_CMD: ConfigAttr.CMD, NFULA_CFG_MODE: ConfigAttr.MODE, NFULA_CFG_TIMEOUT: ConfigAttr.TIMEOUT },
    },
    decode: noAnswer,
  };
}

/** Undefined for a message that is about no packet. @throws TruncatedError, NetlinkFormatError */
export function decodePacket({ type, body }: NetlinkMessage): LoggedPacket | undefined {
  if (type !== LogMsg.PACKET) return undefined;
  const r = new Reader(body);
  r.skip(NFGENMSG_LENGTH);
  const attrs = new Attrs(r.rest());
  const payload = attrs.bytes(PacketAttr.PAYLOAD);
  return payload && { prefix: attrs.string(PacketAttr.PREFIX) ?? "", payload };
}
