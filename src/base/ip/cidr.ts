import {
  addressBits,
  bigintToIp,
  bytesToIp,
  compareIp,
  familyOf,
  type IpAddress,
  type IpFamily,
  ip4ToNumber,
  ipToBigint,
  ipToBytes,
  numberToIp4,
  parseIp,
  tryParseIp,
} from "./address.ts";
import { IpError } from "./ip-error.ts";

/**
 * An address with a prefix length: a network when the bits behind the prefix are zero ({@link parseNetwork} makes sure),
 * an interface's address otherwise. Plain data; `family` always agrees with `address`.
 */
export interface Cidr {
  readonly address: IpAddress;
  /** Leading bits that are the network's: 0 to 32 or 128. */
  readonly prefix: number;
  readonly family: IpFamily;
}

/** From parts that are known to fit. Throws {@link IpError} BAD_CIDR on a prefix that the family doesn't have. */
export function cidr(address: IpAddress, prefix: number): Cidr {
  const family = familyOf(address);
  if (!Number.isInteger(prefix) || prefix < 0 || prefix > addressBits(family)) {
    throw new IpError("BAD_CIDR", `prefix length ${prefix} is not between 0 and ${addressBits(family)} (IPv${family})`);
  }
  return { address, prefix, family };
}

/** `192.0.2.7/24`, bits behind the prefix kept. Throws {@link IpError} BAD_CIDR, quoting the text. */
export function parseCidr(text: string): Cidr {
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const address = match?.[1] === undefined ? undefined : tryParseIp(match[1]);
  const prefix = Number(match?.[2]);
  if (address === undefined) {
    const hint = tryParseIp(text) === undefined ? "" : "; the prefix length is missing";
    throw new IpError("BAD_CIDR", `${JSON.stringify(text)} is not an address/prefix${hint}`);
  }
  const bits = addressBits(familyOf(address));
  if (prefix > bits) {
    throw new IpError("BAD_CIDR", `${JSON.stringify(text)}: prefix length ${prefix} is not between 0 and ${bits}`);
  }
  return cidr(address, prefix);
}

/** As {@link parseCidr}, but bits behind the prefix are refused with HOST_BITS. */
export function parseNetwork(text: string): Cidr {
  const parsed = parseCidr(text);
  const network = networkOf(parsed);
  if (network.address !== parsed.address) {
    throw new IpError("HOST_BITS", `${text} has address bits behind the prefix set; ${formatCidr(network)} was meant?`);
  }
  return network;
}

/** Canonical text, such as `10.1.2.0/24`: equal CIDRs have equal texts. */
export const formatCidr = (c: Cidr): string => `${c.address}/${c.prefix}`;

/** The address alone as a network: /32 or /128. */
export const hostCidr = (address: IpAddress): Cidr => cidr(address, addressBits(familyOf(address)));

/** Accepts `address` and `address/prefix`, as CNI's `ips` capability does; a bare address counts as /32 or /128. */
export const parseAddressOrCidr = (text: string): Cidr =>
  text.includes("/") ? parseCidr(text) : hostCidr(parseIp(text));

/** The network that the CIDR lies in: bits behind the prefix cleared. */
export function networkOf(c: Cidr): Cidr {
  const address = truncate(c.address, c.prefix);
  return address === c.address ? c : { ...c, address };
}

/** The address with all bits behind `prefix` cleared. */
export function truncate(ip: IpAddress, prefix: number): IpAddress {
  if (familyOf(ip) === 4) return numberToIp4((ip4ToNumber(ip) & mask4(prefix)) >>> 0);
  const bytes = ipToBytes(ip);
  for (let i = prefix >> 3; i < 16; i++) {
    const keep = prefix - 8 * i;
    bytes[i] = keep > 0 ? (bytes[i] ?? 0) & (0xff00 >> keep) : 0;
  }
  return bytesToIp(bytes);
}

export function cidrContains(c: Cidr, ip: IpAddress): boolean {
  if (familyOf(ip) !== c.family) return false;
  if (c.family === 4) return ((ip4ToNumber(ip) ^ ip4ToNumber(c.address)) & mask4(c.prefix)) === 0;
  const a = ipToBytes(c.address);
  const b = ipToBytes(ip);
  const whole = c.prefix >> 3;
  for (let i = 0; i < whole; i++) if (a[i] !== b[i]) return false;
  const rest = c.prefix & 7;
  return rest === 0 || (((a[whole] ?? 0) ^ (b[whole] ?? 0)) & (0xff00 >> rest) & 0xff) === 0;
}

/** Whether every address of `inner` is in `outer`. */
export const cidrContainsCidr = (outer: Cidr, inner: Cidr): boolean =>
  inner.prefix >= outer.prefix && cidrContains(outer, inner.address);

/** Whether they share an address; then one contains the other. */
export const cidrsOverlap = (a: Cidr, b: Cidr): boolean =>
  a.prefix <= b.prefix ? cidrContains(a, b.address) : cidrContains(b, a.address);

/** Order for sorting: by first address, then the larger network first. */
export const compareCidr = (a: Cidr, b: Cidr): number => compareIp(a.address, b.address) || a.prefix - b.prefix;

/** How many addresses the network has, including its first and last. */
export const cidrSize = (c: Cidr): bigint => 1n << BigInt(addressBits(c.family) - c.prefix);

/** The last address: IPv4's broadcast address. */
export const lastAddress = (c: Cidr): IpAddress => nthAddress(c, cidrSize(c) - 1n);

/**
 * Address number `n` of the network, 0 being its first. Cheap for an `n` that is a number. Throws {@link IpError}
 * OUT_OF_RANGE when the network has no such address.
 */
export function nthAddress(c: Cidr, n: number | bigint): IpAddress {
  const hostBits = addressBits(c.family) - c.prefix;
  const fits =
    typeof n === "number" ? Number.isSafeInteger(n) && n >= 0 && n < 2 ** hostBits : n >= 0n && n < cidrSize(c);
  if (!fits) throw new IpError("OUT_OF_RANGE", `${formatCidr(c)} has no address number ${n}`);
  if (c.family === 4) return numberToIp4(((ip4ToNumber(c.address) & mask4(c.prefix)) >>> 0) + Number(n));
  const first = truncate(c.address, c.prefix);
  if (typeof n === "bigint") return bigintToIp(ipToBigint(first) + n, 6);
  const bytes = ipToBytes(first); // no carry can leave the host bits: they are zero and n fits
  for (let i = 15, rest = n; rest > 0; i--) {
    bytes[i] = (bytes[i] ?? 0) + (rest % 256);
    rest = Math.floor(rest / 256);
  }
  return bytesToIp(bytes);
}

/** The inverse of {@link nthAddress}; undefined if the address is not in the network. */
export function addressIndex(c: Cidr, ip: IpAddress): bigint | undefined {
  return cidrContains(c, ip) ? ipToBigint(ip) - ipToBigint(truncate(c.address, c.prefix)) : undefined;
}

/** How many networks of length `prefix` the network divides into; 0 if it is itself smaller. */
export function subnetCount(c: Cidr, prefix: number): bigint {
  return prefix < c.prefix || prefix > addressBits(c.family) ? 0n : 1n << BigInt(prefix - c.prefix);
}

/** Part number `index` when the network is divided into networks of length `prefix`. Throws {@link IpError} OUT_OF_RANGE. */
export function subnetAt(c: Cidr, prefix: number, index: number | bigint): Cidr {
  const i = BigInt(index);
  if (i < 0n || i >= subnetCount(c, prefix)) {
    throw new IpError("OUT_OF_RANGE", `${formatCidr(c)} has no /${prefix} number ${index}`);
  }
  const address = nthAddress(c, i << BigInt(addressBits(c.family) - prefix));
  return { address, prefix, family: c.family };
}

/** The inverse of {@link subnetAt}; undefined if `subnet` is not a part of the network. */
export function subnetIndex(c: Cidr, subnet: Cidr): bigint | undefined {
  if (!cidrContainsCidr(c, subnet)) return undefined;
  const offset = ipToBigint(truncate(subnet.address, subnet.prefix)) - ipToBigint(truncate(c.address, c.prefix));
  return offset >> BigInt(addressBits(c.family) - subnet.prefix);
}

/** `<< 32` is `<< 0` in JavaScript, hence the case. */
const mask4 = (prefix: number): number => (prefix === 0 ? 0 : -1 << (32 - prefix));
