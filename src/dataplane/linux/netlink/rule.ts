import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { AddressFamily, formatPrefix, parsePrefix } from "./ip.ts";
import { NetlinkFormatError } from "./nlmsg.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*RULE of linux/rtnetlink.h. */
export const RuleMsg = { NEW: 32, DEL: 33, GET: 34 } as const;

/** FR_ACT_* of linux/fib_rules.h. */
export const RuleAction = { TO_TBL: 1, GOTO: 2, NOP: 3, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;

/** FIB_RULE_INVERT: the rule applies to what does not match. */
export const RULE_INVERT = 2;

/** FRA_*. */
const RuleAttr = {
  DST: 1,
  SRC: 2,
  IIFNAME: 3,
  GOTO: 4,
  PRIORITY: 6,
  FWMARK: 10,
  SUPPRESS_IFGROUP: 13,
  SUPPRESS_PREFIXLEN: 14,
  TABLE: 15,
  FWMASK: 16,
  OIFNAME: 17,
  UID_RANGE: 20,
  PROTOCOL: 21,
  IP_PROTO: 22,
  SPORT_RANGE: 23,
  DPORT_RANGE: 24,
} as const;

const HEADER = 12;
const SCHEMA: AttrSchema = {
  skip: HEADER,
  names: Object.fromEntries(Object.entries(RuleAttr).map(([k, v]) => [`FRA_${k}`, v])),
};
/** "No suppression", which the kernel writes out as -1. */
const NO_SUPPRESSION = 0xffff_ffff;

/** A range of numbers, both ends included. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** struct fib_rule_hdr and its attributes: which packets are routed by which table. */
export interface RuleMessage {
  readonly family: typeof AddressFamily.INET | typeof AddressFamily.INET6;
  /** The order; the kernel picks the highest free number below the main table's when absent. */
  readonly priority?: number;
  readonly src?: string;
  readonly dst?: string;
  readonly tos?: number;
  readonly iif?: string;
  readonly oif?: string;
  readonly fwmark?: number;
  readonly fwmask?: number;
  readonly table?: number;
  /** {@link RuleAction}; look-up in the table where absent. */
  readonly action?: number;
  readonly flags?: number;
  readonly goto?: number;
  readonly protocol?: number;
  readonly ipProto?: number;
  readonly sourcePorts?: Range;
  readonly destinationPorts?: Range;
  readonly uids?: Range;
  /** Routes whose prefix is this long or shorter are passed over. */
  readonly suppressPrefixLength?: number;
  readonly suppressGroup?: number;
}

export function encodeRule(rule: RuleMessage): Uint8Array {
  const dst = rule.dst === undefined ? undefined : parsePrefix(rule.dst);
  const src = rule.src === undefined ? undefined : parsePrefix(rule.src);
  const table = rule.table ?? 0;
  const w = new Writer();
  w.u8(rule.family)
    .u8(dst?.length ?? 0)
    .u8(src?.length ?? 0)
    .u8(rule.tos ?? 0);
  w.u8(table < 256 ? table : 0)
    .zeros(2)
    .u8(rule.action ?? RuleAction.TO_TBL)
    .u32(rule.flags ?? 0);
  const a = new AttrWriter(w);
  if (dst !== undefined) a.bytes(RuleAttr.DST, dst.bytes);
  if (src !== undefined) a.bytes(RuleAttr.SRC, src.bytes);
  a.u32(RuleAttr.PRIORITY, rule.priority).u32(RuleAttr.FWMARK, rule.fwmark).u32(RuleAttr.FWMASK, rule.fwmask);
  if (table > 255) a.u32(RuleAttr.TABLE, table);
  a.string(RuleAttr.IIFNAME, rule.iif).string(RuleAttr.OIFNAME, rule.oif).u32(RuleAttr.GOTO, rule.goto);
  a.u8(RuleAttr.PROTOCOL, rule.protocol).u8(RuleAttr.IP_PROTO, rule.ipProto);
  writePorts(a, RuleAttr.SPORT_RANGE, rule.sourcePorts);
  writePorts(a, RuleAttr.DPORT_RANGE, rule.destinationPorts);
  if (rule.uids !== undefined) {
    a.bytes(RuleAttr.UID_RANGE, new Writer(8).u32(rule.uids.start).u32(rule.uids.end).finish());
  }
  a.u32(RuleAttr.SUPPRESS_PREFIXLEN, rule.suppressPrefixLength).u32(RuleAttr.SUPPRESS_IFGROUP, rule.suppressGroup);
  return w.finish();
}

function writePorts(a: AttrWriter, type: number, ports: Range | undefined): void {
  if (ports !== undefined) a.bytes(type, new Writer(4).u16(ports.start).u16(ports.end).finish());
}

export function decodeRule(body: Uint8Array): RuleMessage {
  const r = new Reader(body);
  const family = r.u8();
  const dstLength = r.u8();
  const srcLength = r.u8();
  const tos = r.u8();
  const shortTable = r.u8();
  r.skip(2);
  const action = r.u8();
  const flags = r.u32();
  if (family !== AddressFamily.INET && family !== AddressFamily.INET6) {
    throw new NetlinkFormatError(`rule of family ${family}`);
  }
  const a = new Attrs(r.rest());
  const dst = a.ip(RuleAttr.DST);
  const src = a.ip(RuleAttr.SRC);
  const table = a.u32(RuleAttr.TABLE) ?? shortTable;
  const ports = (type: number) => a.struct(type, (s) => ({ start: s.u16(), end: s.u16() }));
  return present<RuleMessage>({
    family,
    priority: a.u32(RuleAttr.PRIORITY),
    src: src && formatPrefix(family, src, srcLength),
    dst: dst && formatPrefix(family, dst, dstLength),
    tos: tos || undefined,
    iif: a.string(RuleAttr.IIFNAME),
    oif: a.string(RuleAttr.OIFNAME),
    fwmark: a.u32(RuleAttr.FWMARK),
    fwmask: a.u32(RuleAttr.FWMASK),
    table: table || undefined,
    action,
    flags: flags || undefined,
    goto: a.u32(RuleAttr.GOTO),
    protocol: a.u8(RuleAttr.PROTOCOL),
    ipProto: a.u8(RuleAttr.IP_PROTO),
    sourcePorts: ports(RuleAttr.SPORT_RANGE),
    destinationPorts: ports(RuleAttr.DPORT_RANGE),
    uids: a.struct(RuleAttr.UID_RANGE, (s) => ({ start: s.u32(), end: s.u32() })),
    suppressPrefixLength: suppression(a.u32(RuleAttr.SUPPRESS_PREFIXLEN)),
    suppressGroup: suppression(a.u32(RuleAttr.SUPPRESS_IFGROUP)),
  });
}

function suppression(value: number | undefined): number | undefined {
  return value === NO_SUPPRESSION ? undefined : value;
}

function describe(rule: RuleMessage): string {
  const parts = [`rule ${rule.priority ?? "of automatic priority"}`];
  if (rule.src !== undefined) parts.push(`from ${rule.src}`);
  if (rule.dst !== undefined) parts.push(`to ${rule.dst}`);
  if (rule.iif !== undefined) parts.push(`iif ${rule.iif}`);
  if (rule.fwmark !== undefined) parts.push(`fwmark ${rule.fwmark}`);
  if (rule.table !== undefined) parts.push(`lookup ${rule.table}`);
  return parts.join(" ");
}

/** Adds a rule; EEXIST where an equal one is there. */
export function ruleAdd(rule: RuleMessage): NetlinkRequest {
  return {
    type: RuleMsg.NEW,
    flags: ModifyFlags.CREATE,
    body: encodeRule(rule),
    words: `add ${describe(rule)}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** Deletes the first rule that has all that is given; ENOENT where there is none. */
export function ruleDelete(rule: RuleMessage): NetlinkRequest {
  return {
    type: RuleMsg.DEL,
    flags: ModifyFlags.CHANGE,
    // Action 0 matches any.
    body: encodeRule({ ...rule, action: rule.action ?? 0 }),
    words: `delete ${describe(rule)}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** All rules of IPv4 and IPv6, or of one family. */
export function ruleDump(filter: { readonly family?: RuleMessage["family"] } = {}): NetlinkDump<RuleMessage> {
  const w = new Writer(HEADER);
  w.u8(filter.family ?? 0).zeros(HEADER - 1);
  return {
    type: RuleMsg.GET,
    body: w.finish(),
    words: "read all rules",
    schema: SCHEMA,
    decode: (m) => {
      if (m.type !== RuleMsg.NEW) return undefined;
      // Multicast routing has rules too.
      if (m.body[0] !== AddressFamily.INET && m.body[0] !== AddressFamily.INET6) return undefined;
      return decodeRule(m.body);
    },
  };
}
