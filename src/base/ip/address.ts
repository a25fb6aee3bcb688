import { isIPv6 } from "node:net";
import { Address4, Address6 } from "ip-address";
import type { Brand } from "../brand/brand.ts";
import { IpError } from "./ip-error.ts";

export type IpFamily = 4 | 6;

/**
 * An IP address as canonical text: dotted decimal, or RFC 5952 (lower case, longest run of zeros elided, IPv4-mapped
 * addresses in mixed notation). Two addresses are equal exactly if their texts are. Made by {@link parseIp},
 * {@link bytesToIp} and {@link bigintToIp}.
 */
export type IpAddress = Brand<string, "IpAddress">;

/** Bits in an address of the family. */
export const addressBits = (family: IpFamily): 32 | 128 => (family === 4 ? 32 : 128);

// What may stand in an address at all. Keeps ip-address from accepting its extensions: zones, brackets, `/prefix`.
const V4_CHARS = /^[0-9.]{7,15}$/;
const V6_CHARS = /^[0-9a-fA-F:.]{2,45}$/;
// Octets with a leading zero are refused: some parsers read them as octal, so two programs could mean two addresses.
const LEADING_ZERO = /(^|[.:])0[0-9]+\./;

/** Canonical form of an address written by somebody else. Throws {@link IpError} BAD_ADDRESS, quoting the text. */
export function parseIp(text: string): IpAddress {
  const ip = tryParseIp(text);
  if (ip === undefined) throw new IpError("BAD_ADDRESS", `${JSON.stringify(text)} is not an IP address`);
  return ip;
}

/** As {@link parseIp}; undefined where that throws. */
export function tryParseIp(text: string): IpAddress | undefined {
  if (V4_CHARS.test(text)) {
    if (LEADING_ZERO.test(text) || /\.0[0-9]+$/.test(text) || !Address4.isValid(text)) return undefined;
    return canonical(text);
  }
  if (!V6_CHARS.test(text) || !text.includes(":") || LEADING_ZERO.test(text)) return undefined;
  // Nearly all text is canonical already, which the way back shows at a tenth of what parsing costs.
  if (isIPv6(text)) {
    const ip = canonical(text);
    if (formatIp6(ip6ToBytes(ip)) === ip) return ip;
  }
  if (!Address6.isValid(text)) return undefined;
  return bigintToIp(new Address6(text).bigInt(), 6);
}

export const familyOf = (ip: IpAddress): IpFamily => (ip.includes(":") ? 6 : 4);

/** The value of an IPv4 address as an unsigned 32-bit number. */
export function ip4ToNumber(ip: IpAddress): number {
  let value = 0;
  let octet = 0;
  for (let i = 0; i < ip.length; i++) {
    const c = ip.charCodeAt(i);
    if (c === DOT) {
      value = value * 256 + octet;
      octet = 0;
    } else {
      octet = octet * 10 + c - 48;
    }
  }
  return value * 256 + octet;
}

/** The inverse of {@link ip4ToNumber}. */
export function numberToIp4(value: number): IpAddress {
  return canonical(`${(value >>> 24) & 255}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`);
}

/** Network byte order: 4 or 16 bytes. Costs well under a microsecond: relies on the text being canonical. */
export function ipToBytes(ip: IpAddress): Uint8Array {
  return familyOf(ip) === 4 ? writeIp4(new Uint8Array(4), 0, ip) : ip6ToBytes(ip);
}

/** The inverse of {@link ipToBytes}. Throws {@link IpError} BAD_ADDRESS unless given 4 or 16 bytes. */
export function bytesToIp(bytes: Uint8Array): IpAddress {
  if (bytes.length === 4) return canonical(`${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`);
  if (bytes.length === 16) return formatIp6(bytes);
  throw new IpError("BAD_ADDRESS", `an IP address has 4 or 16 bytes, not ${bytes.length}`);
}

export function ipToBigint(ip: IpAddress): bigint {
  if (familyOf(ip) === 4) return BigInt(ip4ToNumber(ip));
  const bytes = ip6ToBytes(ip);
  const view = new DataView(bytes.buffer);
  return (view.getBigUint64(0) << 64n) | view.getBigUint64(8);
}

/** Throws {@link IpError} OUT_OF_RANGE if the family has no such address. */
export function bigintToIp(value: bigint, family: IpFamily): IpAddress {
  if (value < 0n || value >> BigInt(addressBits(family)) !== 0n) {
    throw new IpError("OUT_OF_RANGE", `${value} is no IPv${family} address`);
  }
  if (family === 4) return numberToIp4(Number(value));
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, value >> 64n);
  view.setBigUint64(8, value & 0xffff_ffff_ffff_ffffn);
  return formatIp6(bytes);
}

/** The last 32 bits as an unsigned number: all of an IPv4 address, the end of an IPv6 one. */
export function low32(ip: IpAddress): number {
  if (familyOf(ip) === 4) return ip4ToNumber(ip);
  return new DataView(ip6ToBytes(ip).buffer).getUint32(12);
}

/** Order for sorting: IPv4 before IPv6, then by value. */
export function compareIp(a: IpAddress, b: IpAddress): number {
  if (a === b) return 0;
  const family = familyOf(a);
  if (family !== familyOf(b)) return family - familyOf(b);
  if (family === 4) return ip4ToNumber(a) - ip4ToNumber(b);
  return compareBytes(ip6ToBytes(a), ip6ToBytes(b));
}

/** Loopback, link-local, multicast, unspecified or limited broadcast: no address that a pod or a node may have. */
export function isSpecialIp(ip: IpAddress): boolean {
  const bytes = ipToBytes(ip);
  const [b0 = 0, b1 = 0] = bytes;
  if (bytes.length === 4) return b0 === 0 || b0 === 127 || b0 >= 224 || (b0 === 169 && b1 === 254);
  return (
    b0 === 0xff ||
    (b0 === 0xfe && (b1 & 0xc0) === 0x80) ||
    ((bytes[15] ?? 0) <= 1 && bytes.subarray(0, 15).every((b) => b === 0))
  );
}

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only place where the brand is given
const canonical = (text: string): IpAddress => text as IpAddress;

const DOT = 46;
const COLON = 58;

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    const d = (a[i] ?? 0) - (b[i] ?? 0);
    if (d !== 0) return d;
  }
  return 0;
}

function writeIp4(out: Uint8Array, at: number, ip: string): Uint8Array {
  const value = ip4ToNumber(canonical(ip));
  out[at] = value >>> 24;
  out[at + 1] = value >>> 16;
  out[at + 2] = value >>> 8;
  out[at + 3] = value;
  return out;
}

function ip6ToBytes(ip: IpAddress): Uint8Array {
  const out = new Uint8Array(16);
  let end = 16; // where the groups read so far have to end once "::" has been seen
  let at = 0;
  let group = 0;
  let digits = 0;
  let elidedAt = -1;
  let text: string = ip;
  if (text.includes(".")) {
    // ::ffff:192.0.2.1, the only mixed form that is canonical
    const tail = text.lastIndexOf(":") + 1;
    writeIp4(out, 12, text.slice(tail));
    end = 12;
    text = text.slice(0, tail);
  }
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c !== COLON) {
      group = (group << 4) | (c <= 57 ? c - 48 : c - 87);
      digits++;
      continue;
    }
    if (digits > 0) {
      out[at] = group >> 8;
      out[at + 1] = group;
      at += 2;
      group = 0;
      digits = 0;
    }
    if (text.charCodeAt(i + 1) === COLON) {
      elidedAt = at;
      i++;
    }
  }
  if (digits > 0) {
    out[at] = group >> 8;
    out[at + 1] = group;
    at += 2;
  }
  if (elidedAt >= 0 && at < end) {
    out.copyWithin(end - (at - elidedAt), elidedAt, at);
    out.fill(0, elidedAt, end - (at - elidedAt));
  }
  return out;
}

/** RFC 5952 section 4 and 5. */
function formatIp6(b: Uint8Array): IpAddress {
  let bestStart = -1;
  let bestLength = 1; // one zero group alone is not elided (4.2.2)
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && b[2 * j] === 0 && b[2 * j + 1] === 0) j++;
    if (j - i > bestLength) {
      bestStart = i;
      bestLength = j - i;
    }
    i = j + 1;
  }
  if (bestStart === 0 && bestLength === 5 && b[10] === 0xff && b[11] === 0xff) {
    return canonical(`::ffff:${b[12]}.${b[13]}.${b[14]}.${b[15]}`);
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === bestStart) {
      text += "::";
      i += bestLength - 1;
      continue;
    }
    if (text !== "" && !text.endsWith(":")) text += ":";
    text += (((b[2 * i] ?? 0) << 8) | (b[2 * i + 1] ?? 0)).toString(16);
  }
  return canonical(text);
}
