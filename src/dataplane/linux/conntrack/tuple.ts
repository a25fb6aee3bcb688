import { type Attrs, type AttrWriter, type Found, NLA_F_NESTED, present } from "../netlink/attr.ts";
import { AddressFamily } from "../netlink/ip.ts";
import { NetlinkFormatError } from "../netlink/nlmsg.ts";

/** IPPROTO_* of the protocols that conntrack tells flows of apart. */
export const IpProtocol = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;
export type IpProtocol = (typeof IpProtocol)[keyof typeof IpProtocol];

/** CTA_TUPLE_*, CTA_IP_* and CTA_PROTO_* of linux/netfilter/nfnetlink_conntrack.h. */
export const TupleAttr = { IP: 1, PROTO: 2, ZONE: 3 } as const;
const IpAttr = { V4_SRC: 1, V4_DST: 2, V6_SRC: 3, V6_DST: 4 } as const;
const ProtoAttr = {
  NUM: 1,
  SRC_PORT: 2,
  DST_PORT: 3,
  ICMP_ID: 4,
  ICMP_TYPE: 5,
  ICMP_CODE: 6,
  ICMPV6_ID: 7,
  ICMPV6_TYPE: 8,
  ICMPV6_CODE: 9,
} as const;

/** One direction of a flow. In a filter everything may be absent, in what the kernel shows nothing of its protocol is. */
export interface FlowTuple {
  /** Canonical text; both of one family. */
  readonly source?: string;
  readonly destination?: string;
  /** IPPROTO_*. */
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** Of ICMP and ICMPv6, in place of ports. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number };
  /** Where a zone holds for this direction only. */
  readonly zone?: number;
}

/** The family of a tuple's addresses, undefined where it has none. */
export function tupleFamily(tuple: FlowTuple): number | undefined {
  const address = tuple.destination ?? tuple.source;
  if (address === undefined) return undefined;
  return address.includes(":") ? AddressFamily.INET6 : AddressFamily.INET;
}

/** Appends a tuple as an attribute of `type` (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY). */
export function writeTuple(a: AttrWriter, type: number, tuple: FlowTuple): void {
  const { source, destination, protocol, icmp } = tuple;
  const v6 = tupleFamily(tuple) === AddressFamily.INET6;
  a.nest(type | NLA_F_NESTED, () => {
    if (source !== undefined || destination !== undefined) {
      a.nest(TupleAttr.IP | NLA_F_NESTED, () => {
        a.ip(v6 ? IpAttr.V6_SRC : IpAttr.V4_SRC, source);
        a.ip(v6 ? IpAttr.V6_DST : IpAttr.V4_DST, destination);
      });
    }
    if (protocol !== undefined) {
      a.nest(TupleAttr.PROTO | NLA_F_NESTED, () => {
        a.u8(ProtoAttr.NUM, protocol);
        a.u16be(ProtoAttr.SRC_PORT, tuple.sourcePort).u16be(ProtoAttr.DST_PORT, tuple.destinationPort);
        const v6icmp = protocol === IpProtocol.ICMPV6;
        a.u8(v6icmp ? ProtoAttr.ICMPV6_CODE : ProtoAttr.ICMP_CODE, icmp?.code);
        a.u8(v6icmp ? ProtoAttr.ICMPV6_TYPE : ProtoAttr.ICMP_TYPE, icmp?.type);
        a.u16be(v6icmp ? ProtoAttr.ICMPV6_ID : ProtoAttr.ICMP_ID, icmp?.id);
      });
    }
    a.u16be(TupleAttr.ZONE, tuple.zone);
  });
}

/** What {@link writeTuple} writes, and what the kernel shows. @throws NetlinkFormatError for addresses of two families. */
export function readTuple(attrs: Attrs): FlowTuple {
  const ip = attrs.nested(TupleAttr.IP);
  const proto = attrs.nested(TupleAttr.PROTO);
  const { source, destination } = ip ? readAddresses(ip) : {};
  return present<FlowTuple>({
    source,
    destination,
    protocol: proto?.u8(ProtoAttr.NUM),
    sourcePort: proto?.u16be(ProtoAttr.SRC_PORT),
    destinationPort: proto?.u16be(ProtoAttr.DST_PORT),
    icmp:
      proto &&
      (readIcmp(proto, ProtoAttr.ICMP_TYPE, ProtoAttr.ICMP_CODE, ProtoAttr.ICMP_ID) ??
        readIcmp(proto, ProtoAttr.ICMPV6_TYPE, ProtoAttr.ICMPV6_CODE, ProtoAttr.ICMPV6_ID)),
    zone: attrs.u16be(TupleAttr.ZONE),
  });
}

function readAddresses(ip: Attrs): Found<Pick<FlowTuple, "destination" | "source">> {
  const v4 = { source: ip.ip(IpAttr.V4_SRC), destination: ip.ip(IpAttr.V4_DST) };
  const v6 = { source: ip.ip(IpAttr.V6_SRC), destination: ip.ip(IpAttr.V6_DST) };
  const is = (found: typeof v4): boolean => found.source !== undefined || found.destination !== undefined;
  if (is(v4) && is(v6)) throw new NetlinkFormatError("a flow with addresses of two families");
  const [found, colon] = is(v6) ? [v6, true] : [v4, false];
  for (const address of Object.values(found)) {
    if (address !== undefined && address.includes(":") !== colon) {
      throw new NetlinkFormatError(`${address} is not of the family that its attribute is for`);
    }
  }
  return found;
}

function readIcmp(proto: Attrs, typeAttr: number, codeAttr: number, idAttr: number): FlowTuple["icmp"] {
  const [type, code, id] = [proto.u8(typeAttr), proto.u8(codeAttr), proto.u16be(idAttr)];
  return type === undefined || code === undefined || id === undefined ? undefined : { type, code, id };
}

/** `udp from 192.0.2.9:5353 to 192.0.2.1:8000`. */
export function describeTuple(tuple: FlowTuple): string {
  const name = Object.entries(IpProtocol)
    .find(([, number]) => number === tuple.protocol)?.[0]
    .toLowerCase();
  const end = (address: string | undefined, port: number | undefined): string => {
    const host = address?.includes(":") && port !== undefined ? `[${address}]` : (address ?? "");
    return port === undefined ? host : `${host}:${port}`;
  };
  const from = end(tuple.source, tuple.sourcePort);
  const to = end(tuple.destination, tuple.destinationPort);
  const protocol = tuple.protocol === undefined ? [] : [name ?? `protocol ${tuple.protocol}`];
  return [...protocol, ...(from ? ["from", from] : []), ...(to ? ["to", to] : [])].join(" ");
}
