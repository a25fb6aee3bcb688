import { Reader, TruncatedError } from "../../../base/bytes/reader.ts";
import { Attrs, present, splitAttrs } from "./attr.ts";
import { NetlinkFormatError, type NetlinkMessage, NLMSG_HEADER_LENGTH, NlmFlag } from "./nlmsg.ts";

/** The names of a message's attributes, for errors. `skip` is the length of the fixed header before them. */
export interface AttrSchema {
  readonly skip: number;
  readonly names: Readonly<Record<string, number>>;
  readonly nested?: Readonly<Record<number, AttrSchema>>;
}

/** An NLMSG_ERROR: an acknowledgement when `errno` is 0. */
export interface NetlinkAck {
  /** Positive, 0 for success. */
  readonly errno: number;
  /** The kernel's explanation; a warning when errno is 0. */
  readonly text?: string;
  /** Offset of the attribute that is wrong, from the beginning of the request's netlink header. */
  readonly offset?: number;
  /** Identifies what was created, in the few families that say so. */
  readonly cookie?: Uint8Array;
  /** The attribute that is missing (6.1 and later), and where. */
  readonly missingType?: number;
  readonly missingNest?: number;
}

/** NLMSGERR_ATTR_* of linux/netlink.h. */
const ErrorAttr = { MSG: 1, OFFS: 2, COOKIE: 3, MISS_TYPE: 5, MISS_NEST: 6 } as const;

/** Decodes the body of an NLMSG_ERROR. */
export function decodeAck(message: Pick<NetlinkMessage, "flags" | "body">): NetlinkAck {
  const r = new Reader(message.body);
  const error = r.i32();
  // The request's header comes back, its payload only for failed requests without NETLINK_CAP_ACK.
  const length = r.u32();
  r.skip(NLMSG_HEADER_LENGTH - 4);
  if (error > 0) throw new NetlinkFormatError(`positive error ${error} in an acknowledgement`);
  // 0 - x, because -0 is not equal to 0 everywhere.
  if ((message.flags & NlmFlag.ACK_TLVS) === 0) return { errno: 0 - error };
  if ((message.flags & NlmFlag.CAPPED) === 0) {
    if (length < NLMSG_HEADER_LENGTH) throw new NetlinkFormatError(`request of ${length} bytes in an acknowledgement`);
    r.skip(length - NLMSG_HEADER_LENGTH);
    r.align(4);
  }
  return decodeExtAck(0 - error, r.rest());
}

/** Decodes the end of a dump (NLMSG_DONE), which may carry an error. */
export function decodeDone(message: Pick<NetlinkMessage, "flags" | "body">): NetlinkAck {
  // Some families of old kernels end a dump without a code.
  if (message.body.length < 4) return { errno: 0 };
  const r = new Reader(message.body);
  const error = r.i32();
  if ((message.flags & NlmFlag.ACK_TLVS) === 0) return { errno: error < 0 ? -error : 0 };
  return decodeExtAck(error < 0 ? -error : 0, r.rest());
}

function decodeExtAck(errno: number, bytes: Uint8Array): NetlinkAck {
  const attrs = new Attrs(bytes);
  return present<NetlinkAck>({
    errno,
    text: attrs.string(ErrorAttr.MSG),
    offset: attrs.u32(ErrorAttr.OFFS),
    cookie: attrs.bytes(ErrorAttr.COOKIE),
    missingType: attrs.u32(ErrorAttr.MISS_TYPE),
    missingNest: attrs.u32(ErrorAttr.MISS_NEST),
  });
}

/**
 * The path of the attribute at an extended acknowledgement's offset (from the netlink header), such as
 * `IFLA_LINKINFO.IFLA_INFO_DATA.IFLA_VXLAN_PORT`; undefined when the offset points at none.
 */
export function attrAt(body: Uint8Array, schema: AttrSchema, offset: number): string | undefined {
  const path = pathTo(body, schema, offset - NLMSG_HEADER_LENGTH);
  return path === undefined || path.length === 0 ? undefined : path.join(".");
}

/** The name of a missing attribute: of the nest at `nestOffset`, or of the message itself. */
export function missingAttr(body: Uint8Array, schema: AttrSchema, type: number, nestOffset?: number): string {
  let inner: AttrSchema | undefined = schema;
  let prefix = "";
  if (nestOffset !== undefined) {
    const path = pathTo(body, schema, nestOffset - NLMSG_HEADER_LENGTH) ?? [];
    prefix = path.map((name) => `${name}.`).join("");
    for (const name of path) inner = inner?.nested?.[inner.names[name] ?? -1];
  }
  return `${prefix}${nameOf(inner, type)}`;
}

function nameOf(schema: AttrSchema | undefined, type: number): string {
  for (const [name, number] of Object.entries(schema?.names ?? {})) if (number === type) return name;
  return `attribute ${type}`;
}

function pathTo(bytes: Uint8Array, schema: AttrSchema, offset: number): string[] | undefined {
  if (offset < schema.skip || offset > bytes.length) return undefined;
  try {
    for (const attr of splitAttrs(bytes.subarray(schema.skip))) {
      const start = schema.skip + attr.at;
      if (offset < start || offset >= start + 4 + attr.data.length) continue;
      const name = nameOf(schema, attr.type);
      const nested = schema.nested?.[attr.type];
      const inside = nested && offset >= start + 4 ? pathTo(attr.data, nested, offset - start - 4) : undefined;
      return [name, ...(inside ?? [])];
    }
  } catch (e) {
    // Only a name is lost; the kernel's refusal is what matters.
    if (!(e instanceof TruncatedError || e instanceof NetlinkFormatError)) throw e;
  }
  return undefined;
}
