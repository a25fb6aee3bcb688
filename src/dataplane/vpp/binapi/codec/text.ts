import { bytesToIp, type IpAddress, ipToBytes } from "../../../../base/ip/address.ts";
import type { MacAddress } from "../../../../base/ip/mac.ts";

/**
 * Addresses on the wire as canonical text and back. Readers return the one text that an address has; writers take any
 * valid text, write into bytes that are zero, and return false for a text that is no such address.
 */

/** `vl_api_address_family_t` of ip_types.api. */
const AF_IP4 = 0;
const AF_IP6 = 1;
const DOT = 46;
const COLON = 58;
const SLASH = 47;

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

export const readIp4 = (b: Uint8Array, o: number): IpAddress =>
  `${b[o]}.${b[o + 1]}.${b[o + 2]}.${b[o + 3]}` as IpAddress;

export const readIp6 = (b: Uint8Array, o: number): IpAddress => bytesToIp(b.subarray(o, o + 16));

export const readMac = (b: Uint8Array, o: number): MacAddress =>
  `${hex(b, o)}:${hex(b, o + 1)}:${hex(b, o + 2)}:${hex(b, o + 3)}:${hex(b, o + 4)}:${hex(b, o + 5)}` as MacAddress;

const hex = (b: Uint8Array, o: number): string => HEX[b[o] ?? 0] ?? "";

/** `vl_api_address_t`: a family and 16 bytes. Undefined for a family that does not exist. */
export function readAddress(b: Uint8Array, o: number): IpAddress | undefined {
  const family = b[o];
  if (family === AF_IP4) return readIp4(b, o + 1);
  return family === AF_IP6 ? readIp6(b, o + 1) : undefined;
}

/** `vl_api_prefix_t`: an address and a length. */
export function readPrefix(b: Uint8Array, o: number): string | undefined {
  const address = readAddress(b, o);
  return address === undefined ? undefined : `${address}/${b[o + 17]}`;
}

export const readIp4Prefix = (b: Uint8Array, o: number): string => `${readIp4(b, o)}/${b[o + 4]}`;
export const readIp6Prefix = (b: Uint8Array, o: number): string => `${readIp6(b, o)}/${b[o + 16]}`;

export const writeIp4 = (b: Uint8Array, o: number, text: unknown): boolean =>
  typeof text === "string" && parseIp4(b, o, text, 0, text.length);

export const writeIp6 = (b: Uint8Array, o: number, text: unknown): boolean =>
  typeof text === "string" && parseIp6(b, o, text, text.length);

export function writeMac(b: Uint8Array, o: number, text: unknown): boolean {
  if (typeof text !== "string" || text.length !== 17) return false;
  for (let i = 0; i < 6; i++) {
    const high = hexDigit(text.charCodeAt(3 * i));
    const low = hexDigit(text.charCodeAt(3 * i + 1));
    if (high < 0 || low < 0 || (i < 5 && text.charCodeAt(3 * i + 2) !== COLON)) return false;
    b[o + i] = (high << 4) | low;
  }
  return true;
}

export const writeAddress = (b: Uint8Array, o: number, text: unknown): boolean =>
  typeof text === "string" && writeFamilyAndAddress(b, o, text, text.length);

export function writePrefix(b: Uint8Array, o: number, text: unknown): boolean {
  if (typeof text !== "string") return false;
  const slash = text.indexOf("/");
  if (slash < 0 || !writeFamilyAndAddress(b, o, text, slash)) return false;
  return writeLength(b, o + 17, text, slash, b[o] === AF_IP6 ? 128 : 32);
}

export function writeIp4Prefix(b: Uint8Array, o: number, text: unknown): boolean {
  if (typeof text !== "string") return false;
  const slash = text.indexOf("/");
  return slash >= 0 && parseIp4(b, o, text, 0, slash) && writeLength(b, o + 4, text, slash, 32);
}

export function writeIp6Prefix(b: Uint8Array, o: number, text: unknown): boolean {
  if (typeof text !== "string") return false;
  const slash = text.indexOf("/");
  return slash >= 0 && parseIp6(b, o, text, slash) && writeLength(b, o + 16, text, slash, 128);
}

/**
 * The 16 bytes of a `vl_api_address_union_t` whose family stands elsewhere in the message, such as a path's next hop
 * behind `fib_path.proto`.
 */
export const ipFromUnion = (bytes: Uint8Array, family: 4 | 6): IpAddress =>
  family === 4 ? readIp4(bytes, 0) : bytesToIp(bytes);

/** What such a union is given: `{ ip4: … }` or `{ ip6: … }`. */
export const ipToUnion = (ip: IpAddress): { readonly ip4: IpAddress } | { readonly ip6: IpAddress } =>
  ipToBytes(ip).length === 4 ? { ip4: ip } : { ip6: ip };

function writeFamilyAndAddress(b: Uint8Array, o: number, text: string, end: number): boolean {
  // An IPv6 text has a colon among its first five characters; an IPv4 text has none.
  for (let i = 0; i < 5 && i < end; i++) {
    if (text.charCodeAt(i) !== COLON) continue;
    b[o] = AF_IP6;
    return parseIp6(b, o + 1, text, end);
  }
  b[o] = AF_IP4;
  return parseIp4(b, o + 1, text, 0, end);
}

function writeLength(b: Uint8Array, o: number, text: string, slash: number, max: number): boolean {
  let length = -1;
  for (let i = slash + 1; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9 || length === 0) return false; // 0 can't be followed by anything
    length = length < 0 ? digit : length * 10 + digit;
    if (length > max) return false;
  }
  b[o] = length;
  return length >= 0 && text.charCodeAt(slash) === SLASH;
}

/** Dotted decimal between `from` and `end`. Leading zeros are refused: some read them as octal. */
function parseIp4(b: Uint8Array, o: number, text: string, from: number, end: number): boolean {
  let n = 0;
  let octet = -1;
  for (let i = from; i < end; i++) {
    const c = text.charCodeAt(i);
    if (c === DOT) {
      if (octet < 0 || n === 3) return false;
      b[o + n++] = octet;
      octet = -1;
      continue;
    }
    const digit = c - 48;
    if (digit < 0 || digit > 9 || octet === 0) return false;
    octet = octet < 0 ? digit : octet * 10 + digit;
    if (octet > 255) return false;
  }
  if (n !== 3 || octet < 0) return false;
  b[o + 3] = octet;
  return true;
}

/** RFC 4291 section 2.2: hex groups, one `::`, the last 32 bits possibly dotted. */
function parseIp6(b: Uint8Array, o: number, text: string, end: number): boolean {
  let n = 0; // groups written
  let elided = -1; // groups before "::"
  let i = 0;
  if (end >= 2 && text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false;
    elided = 0;
    i = 2;
  }
  while (i < end) {
    if (n === 8) return false;
    const start = i;
    let group = 0;
    let c = 0;
    for (; i < end; i++) {
      c = text.charCodeAt(i);
      const digit = hexDigit(c);
      if (digit < 0) break;
      group = (group << 4) | digit;
    }
    if (i < end && c === DOT) {
      if (n > 6 || !parseIp4(b, o + 2 * n, text, start, end)) return false;
      n += 2;
      break;
    }
    if (i === start || i - start > 4) return false;
    b[o + 2 * n] = group >> 8;
    b[o + 2 * n + 1] = group & 255;
    n++;
    if (i === end) break;
    if (c !== COLON || ++i === end) return false; // a lone colon can't end the text
    if (text.charCodeAt(i) !== COLON) continue;
    if (elided >= 0) return false;
    elided = n;
    i++;
  }
  if (elided < 0) return n === 8;
  if (n > 7) return false;
  const tail = 2 * (n - elided);
  b.copyWithin(o + 16 - tail, o + 2 * elided, o + 2 * n);
  b.fill(0, o + 2 * elided, o + 16 - tail);
  return true;
}

function hexDigit(c: number): number {
  if (c >= 48 && c <= 57) return c - 48;
  const lower = c | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
