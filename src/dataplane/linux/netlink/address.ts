import { Reader } from "../../../base/bytes/reader.ts";
import { Writer } from "../../../base/bytes/writer.ts";
import { Attrs, AttrWriter, present } from "./attr.ts";
import type { AttrSchema } from "./ext-ack.ts";
import { familyOf, formatPrefix, parsePrefix } from "./ip.ts";
import { NetlinkFormatError } from "./nlmsg.ts";
import { ModifyFlags, type NetlinkDump, type NetlinkRequest, noAnswer } from "./request.ts";

/** RTM_*ADDR of linux/rtnetlink.h. */
export const AddressMsg = { NEW: 20, DEL: 21, GET: 22 } as const;

/** IFA_F_* of linux/if_addr.h. */
export const AddressFlag = {
  SECONDARY: 0x01,
  /** Usable at once, without duplicate address detection (IPv6). */
  NODAD: 0x02,
  OPTIMISTIC: 0x04,
  DADFAILED: 0x08,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  /** No route to the prefix is made. */
  NOPREFIXROUTE: 0x200,
} as const;

/** RT_SCOPE_* of linux/rtnetlink.h. */
export const Scope = { UNIVERSE: 0, SITE: 200, LINK: 253, HOST: 254, NOWHERE: 255 } as const;

/** IFA_* of linux/if_addr.h. */
const AddressAttr = {
  ADDRESS: 1,
  LOCAL: 2,
  LABEL: 3,
  BROADCAST: 4,
  CACHEINFO: 6,
  FLAGS: 8,
  RT_PRIORITY: 9,
  PROTO: 11,
} as const;

const HEADER = 8;
const SCHEMA: AttrSchema = {
  skip: HEADER,
  names: Object.fromEntries(Object.entries(AddressAttr).map(([k, v]) => [`IFA_${k}`, v])),
};
/** INFINITY_LIFE_TIME of net/addrconf.h. */
export const FOREVER = 0xffff_ffff;

/** struct ifaddrmsg and its attributes. */
export interface AddressMessage {
  /** Index of the link. */
  readonly index: number;
  /** The address with its prefix length, `10.1.0.2/32`. */
  readonly address: string;
  /** The other end's address on a point-to-point link. */
  readonly peer?: string;
  readonly broadcast?: string;
  /** {@link Scope}; universe where absent. */
  readonly scope?: number;
  /** {@link AddressFlag}. */
  readonly flags?: number;
  readonly label?: string;
  /** Metric of the prefix's route. */
  readonly metric?: number;
  /** Who made the address (IFAPROT_*), 5.18 and later. */
  readonly proto?: number;
  /** Seconds, {@link FOREVER} for no end. */
  readonly lifetime?: { readonly preferred: number; readonly valid: number };
}

export function encodeAddress(address: AddressMessage): Uint8Array {
  const { bytes, length } = parsePrefix(address.address);
  const flags = address.flags ?? 0;
  const w = new Writer();
  w.u8(familyOf(address.address)).u8(length);
  // Eight bits of flags are here, more are in IFA_FLAGS, which then holds all.
  w.u8(flags > 0xff ? 0 : flags)
    .u8(address.scope ?? Scope.UNIVERSE)
    .u32(address.index);
  const a = new AttrWriter(w);
  a.bytes(AddressAttr.LOCAL, bytes);
  if (address.peer === undefined) a.bytes(AddressAttr.ADDRESS, bytes);
  else a.ip(AddressAttr.ADDRESS, address.peer);
  a.ip(AddressAttr.BROADCAST, address.broadcast).string(AddressAttr.LABEL, address.label);
  if (flags > 0xff) a.u32(AddressAttr.FLAGS, flags);
  a.u32(AddressAttr.RT_PRIORITY, address.metric).u8(AddressAttr.PROTO, address.proto);
  const { lifetime } = address;
  if (lifetime !== undefined) {
    const info = new Writer(16);
    info.u32(lifetime.preferred).u32(lifetime.valid).u32(0).u32(0);
    a.bytes(AddressAttr.CACHEINFO, info.finish());
  }
  return w.finish();
}

export function decodeAddress(body: Uint8Array): AddressMessage {
  const r = new Reader(body);
  const family = r.u8();
  const length = r.u8();
  const shortFlags = r.u8();
  const scope = r.u8();
  const index = r.u32();
  const a = new Attrs(r.rest());
  // IPv6 has IFA_LOCAL on point-to-point links only.
  const shown = a.ip(AddressAttr.ADDRESS);
  const local = a.ip(AddressAttr.LOCAL) ?? shown;
  if (local === undefined) throw new NetlinkFormatError("an address message without an address");
  return present<AddressMessage>({
    index,
    address: formatPrefix(family, local, length),
    peer: shown === local ? undefined : shown,
    broadcast: a.ip(AddressAttr.BROADCAST),
    scope: scope || undefined,
    flags: (a.u32(AddressAttr.FLAGS) ?? shortFlags) || undefined,
    label: a.string(AddressAttr.LABEL),
    metric: a.u32(AddressAttr.RT_PRIORITY),
    proto: a.u8(AddressAttr.PROTO),
    lifetime: a.struct(AddressAttr.CACHEINFO, (s) => ({ preferred: s.u32(), valid: s.u32() })),
  });
}

/** Adds an address; EEXIST where the link has it. `replace` makes it anew or changes its flags and lifetime. */
export function addressAdd(address: AddressMessage, mode: "create" | "replace" = "create"): NetlinkRequest {
  return {
    type: AddressMsg.NEW,
    flags: mode === "create" ? ModifyFlags.CREATE : ModifyFlags.REPLACE,
    body: encodeAddress(address),
    words: `${mode === "create" ? "add" : "set"} address ${address.address} on link ${address.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** Removes an address; EADDRNOTAVAIL where the link doesn't have it. */
export function addressDelete(address: Pick<AddressMessage, "index" | "address" | "peer">): NetlinkRequest {
  return {
    type: AddressMsg.DEL,
    flags: ModifyFlags.CHANGE,
    body: encodeAddress(address),
    words: `delete address ${address.address} from link ${address.index}`,
    schema: SCHEMA,
    decode: noAnswer,
  };
}

/** All addresses, or those of one link or family; the kernel does the choosing. */
export function addressDump(
  filter: { readonly index?: number; readonly family?: number } = {},
): NetlinkDump<AddressMessage> {
  const w = new Writer(HEADER);
  w.u8(filter.family ?? 0)
    .u8(0)
    .u8(0)
    .u8(0)
    .u32(filter.index ?? 0);
  return {
    type: AddressMsg.GET,
    body: w.finish(),
    words: filter.index === undefined ? "read all addresses" : `read the addresses of link ${filter.index}`,
    schema: SCHEMA,
    decode: (m) => (m.type === AddressMsg.NEW ? decodeAddress(m.body) : undefined),
  };
}
