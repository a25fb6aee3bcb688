import { Writer } from "../../../../base/bytes/writer.ts";
import { IpProtocol } from "../../conntrack/tuple.ts";
import { ipToBytes } from "../../netlink/ip.ts";

/** Fields of a concatenation begin at multiples of it (NFT_REG32_SIZE). */
export const FIELD = 4;
const IFNAMSIZ = 16;

interface FieldType {
  /** nft's number of the type (TYPE_* of its datatype.h), by which it prints what it finds in the kernel. */
  readonly id: number;
  readonly length: number;
  /** As the kernel has it; undefined for text that is none. */
  readonly encode: (text: string) => Uint8Array | undefined;
}

export const PROTOCOLS: Readonly<Record<string, number>> = {
  tcp: IpProtocol.TCP,
  udp: IpProtocol.UDP,
  sctp: IpProtocol.SCTP,
};

/** Types of keys and data, by nft's name. */
export const FIELDS: Readonly<Record<string, FieldType>> = {
  ifname: { id: 41, length: IFNAMSIZ, encode: linkName },
  ipv4_addr: { id: 7, length: 4, encode: (text) => address(text, 4) },
  ipv6_addr: { id: 8, length: 16, encode: (text) => address(text, 16) },
  inet_proto: { id: 12, length: 1, encode: protocol },
  inet_service: { id: 13, length: 2, encode: port },
};

/** `tcp . 80` of type `inet_proto . inet_service`. Of a single field there is no padding. */
export function concatenation(text: string, type: string): Uint8Array | undefined {
  const types = type.split(" . ");
  const parts = text.split(" . ");
  if (parts.length !== types.length) return undefined;
  const w = new Writer();
  for (const [i, part] of parts.entries()) {
    const field = FIELDS[types[i] ?? ""]?.encode(part);
    if (field === undefined) return undefined;
    w.bytes(field);
    if (types.length > 1) w.align(FIELD);
  }
  return w.finish();
}

function linkName(text: string): Uint8Array | undefined {
  const name = Buffer.alloc(IFNAMSIZ);
  // A name that fills the field would have no end, an asterisk is a pattern.
  return name.write(text) < IFNAMSIZ && !text.includes("*") ? name : undefined;
}

function address(text: string, length: 4 | 16): Uint8Array | undefined {
  try {
    const bytes = ipToBytes(text);
    return bytes.length === length ? bytes : undefined;
  } catch {
    return undefined;
  }
}

function protocol(text: string): Uint8Array | undefined {
  const number = PROTOCOLS[text];
  return number === undefined ? undefined : Uint8Array.of(number);
}

function port(text: string): Uint8Array | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return number <= 0xffff ? Uint8Array.of(number >> 8, number & 0xff) : undefined;
}
