import { familyOf, type IpAddress, type IpFamily, ipToBytes, tryParseIp } from "../../../base/ip/address.ts";
import { DiagnosisError } from "./errors.ts";

/** Which packets, by their outermost headers, in either direction. What is absent may be anything. */
export interface PacketFilter {
  readonly host?: IpAddress;
  /** IP protocol number. */
  readonly proto?: number;
  /** Of TCP, UDP or SCTP. */
  readonly port?: number;
}

const PROTOCOLS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmp6: 58, sctp: 132 };
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132]);

/**
 * Parses `HOST/PROTO/PORT`: `10.1.2.3`, `10.1.2.3/tcp/80`, `fd10::1/udp`, `/icmp`; empty or an asterisk is anything.
 * @throws DiagnosisError `BAD_FILTER`, naming the part that is wrong
 */
export function parsePacketFilter(text: string): PacketFilter {
  const [host = "", proto = "", port = "", ...more] = text.split("/").map((part) => (part === "*" ? "" : part));
  const wrong = (what: string): never => {
    throw new DiagnosisError("BAD_FILTER", `the filter ${JSON.stringify(text)}: ${what}`);
  };
  if (more.length > 0) wrong("it is HOST/PROTO/PORT, * for any");
  const ip = host === "" ? undefined : (tryParseIp(host) ?? wrong(`${host} is no address`));
  const number = proto === "" ? undefined : (protocolNumber(proto) ?? wrong(`${proto} is no protocol`));
  if (port !== "" && !(/^\d+$/.test(port) && Number(port) <= 65_535)) wrong(`${port} is no port`);
  if (port !== "" && (number === undefined || !WITH_PORTS.has(number))) wrong("ports are of tcp, udp or sctp");
  return {
    ...(ip === undefined ? {} : { host: ip }),
    ...(number === undefined ? {} : { proto: number }),
    ...(port === "" ? {} : { port: Number(port) }),
  };
}

function protocolNumber(text: string): number | undefined {
  const named = PROTOCOLS[text.toLowerCase()];
  if (named !== undefined) return named;
  return /^\d+$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

/** `tcp` for 6; the number for what has no name here. */
export function protocolName(proto: number): string {
  return Object.entries(PROTOCOLS).find(([, number]) => number === proto)?.[0] ?? String(proto);
}

/** One alternative of a filter: a frame fits if its bytes are those of `match` wherever `mask` has bits. */
export interface ClassifierRow {
  /** Whole vectors of 16 bytes. */
  readonly mask: Uint8Array;
  readonly match: Uint8Array;
}

/** Where things are in an Ethernet frame without VLAN tags; ports in a packet without IP options. */
const LAYOUT = {
  4: { ethertype: [0x08, 0x00], version: 0x45, proto: 23, hosts: [26, 30], ports: [34, 36] },
  6: { ethertype: [0x86, 0xdd], version: undefined, proto: 20, hosts: [22, 38], ports: [54, 56] },
} as const;
const ETHERTYPE = 12;
const VERSION = 14;
const VECTOR = 16;

/** The filter as what VPP's classifier compares: a row for each combination of direction and family. */
export function classifierRows(filter: PacketFilter): ClassifierRow[] {
  return families(filter).flatMap((family) => {
    const { hosts, ports } = LAYOUT[family];
    const hostsAt = filter.host === undefined ? [undefined] : hosts;
    const portsAt = filter.port === undefined ? [undefined] : ports;
    return hostsAt.flatMap((hostAt) => portsAt.map((portAt) => row(filter, family, hostAt, portAt)));
  });
}

function families({ host, proto }: PacketFilter): readonly IpFamily[] {
  if (host !== undefined) return [familyOf(host)];
  if (proto === PROTOCOLS["icmp"]) return [4];
  return proto === PROTOCOLS["icmp6"] ? [6] : [4, 6];
}

function row(filter: PacketFilter, family: IpFamily, hostAt: number | undefined, portAt: number | undefined) {
  const { ethertype, version, proto } = LAYOUT[family];
  const bytes: [at: number, value: number][] = ethertype.map((value, i) => [ETHERTYPE + i, value]);
  const put = (at: number, values: Iterable<number>) => {
    for (const value of values) bytes.push([at++, value]);
  };
  if (filter.proto !== undefined) put(proto, [filter.proto]);
  if (filter.host !== undefined && hostAt !== undefined) put(hostAt, ipToBytes(filter.host));
  if (filter.port !== undefined && portAt !== undefined) {
    put(portAt, [filter.port >> 8, filter.port & 255]);
    if (version !== undefined) put(VERSION, [version]);
  }
  const size = Math.ceil((Math.max(...bytes.map(([at]) => at)) + 1) / VECTOR) * VECTOR;
  const mask = new Uint8Array(size);
  const match = new Uint8Array(size);
  for (const [at, value] of bytes) {
    mask[at] = 255;
    match[at] = value;
  }
  return { mask, match };
}
