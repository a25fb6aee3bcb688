import { Reader } from "../../../base/bytes/reader.ts";
import { bytesToIp, type IpAddress } from "../../../base/ip/address.ts";

/** Of a packet's headers what tells a connection. */
export interface PacketHeaders {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** IP protocol number of what the packet carries. */
  readonly protocol: number;
  /** Of protocols with ports, if they are in the packet: a fragment but the first has none. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** TCP, UDP, DCCP, SCTP, UDP-Lite (IANA): their headers begin with source and destination port. */
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

/** Extension headers of IPv6 (RFC 8200): hop-by-hop options, routing, destination options. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const FRAGMENT = 44;
/** RFC 4302: its length is in units of 4 bytes. */
const AUTHENTICATION = 51;

/** Undefined for what is neither IPv4 nor IPv6. @throws TruncatedError for a packet that ends inside its headers */
export function parseHeaders(packet: Uint8Array): PacketHeaders | undefined {
  const version = new Reader(packet).u8() >> 4;
  if (version === 4) return parseIpv4(new Reader(packet));
  return version === 6 ? parseIpv6(new Reader(packet)) : undefined;
}

function parseIpv4(r: Reader): PacketHeaders {
  const headerLength = (r.u8() & 0xf) * 4;
  r.skip(5); // type of service, length, identification
  const isFirst = (r.u16be() & 0x1fff) === 0;
  r.skip(1); // time to live
  const protocol = r.u8();
  r.skip(2); // checksum
  const source = bytesToIp(r.bytes(4));
  const destination = bytesToIp(r.bytes(4));
  r.skip(headerLength - 20);
  return { source, destination, protocol, ...(isFirst ? portsOf(protocol, r) : {}) };
}

function parseIpv6(r: Reader): PacketHeaders {
  r.skip(6); // version, class, flow label, payload length
  let protocol = r.u8();
  r.skip(1); // hop limit
  const source = bytesToIp(r.bytes(16));
  const destination = bytesToIp(r.bytes(16));
  let isFirst = true;
  while (EXTENSIONS.has(protocol) || protocol === FRAGMENT || protocol === AUTHENTICATION) {
    const next = r.u8();
    const length = r.u8();
    if (protocol === FRAGMENT) {
      isFirst = r.u16be() >> 3 === 0;
      r.skip(4);
    } else {
      r.skip(protocol === AUTHENTICATION ? (length + 2) * 4 - 2 : (length + 1) * 8 - 2);
    }
    protocol = next;
    // What is behind the header of a later fragment are its contents.
    if (!isFirst) break;
  }
  return { source, destination, protocol, ...(isFirst ? portsOf(protocol, r) : {}) };
}

function portsOf(protocol: number, r: Reader): Pick<PacketHeaders, "destinationPort" | "sourcePort"> {
  if (!WITH_PORTS.has(protocol)) return {};
  return { sourcePort: r.u16be(), destinationPort: r.u16be() };
}
