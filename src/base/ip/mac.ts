import type { Brand } from "../brand/brand.ts";
import { bytesToIp, type IpAddress } from "./address.ts";
import { IpError } from "./ip-error.ts";

/** An Ethernet address as `02:fe:0a:01:02:03`, lower case. Equal addresses have equal texts. */
export type MacAddress = Brand<string, "MacAddress">;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the only place where the brand is given
const canonical = (text: string): MacAddress => text as MacAddress;

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, "0"));

/** Accepts `:` or `-` between six pairs of hex digits. Throws {@link IpError} BAD_MAC, quoting the text. */
export function parseMac(text: string): MacAddress {
  if (!/^[0-9a-f]{2}([:-])[0-9a-f]{2}(\1[0-9a-f]{2}){4}$/i.test(text)) {
    throw new IpError("BAD_MAC", `${JSON.stringify(text)} is not an Ethernet address`);
  }
  return canonical(text.toLowerCase().replaceAll("-", ":"));
}

export function macToBytes(mac: MacAddress): Uint8Array {
  const out = new Uint8Array(6);
  for (let i = 0; i < 6; i++) out[i] = Number.parseInt(mac.slice(3 * i, 3 * i + 2), 16);
  return out;
}

/** Throws {@link IpError} BAD_MAC unless given 6 bytes. */
export function bytesToMac(b: Uint8Array): MacAddress {
  if (b.length !== 6) throw new IpError("BAD_MAC", `an Ethernet address has 6 bytes, not ${b.length}`);
  return canonical(Array.from(b, (x) => HEX[x]).join(":"));
}

/** For several hosts at once (broadcast included); no interface can own it. */
export const isMulticastMac = (mac: MacAddress): boolean => ((macToBytes(mac)[0] ?? 0) & 1) === 1;

/**
 * A locally administered address: two bytes that say which kind of thing it belongs to, then `low`, unsigned 32 bits that
 * are unique among these (a node's ID; the last 32 bits of a pod's address). Throws {@link IpError} BAD_MAC unless the
 * first byte has the "local" bit (0x02) and not the "group" bit (0x01), as IEEE 802c demands.
 */
export function macFrom(kind: number, low: number): MacAddress {
  const first = kind >> 8;
  if (kind < 0 || kind > 0xffff || (first & 3) !== 2) {
    throw new IpError("BAD_MAC", `0x${kind.toString(16)} can't begin a locally administered Ethernet address`);
  }
  if (!Number.isInteger(low) || low < 0 || low > 0xffff_ffff) {
    throw new IpError("BAD_MAC", `${low} is not an unsigned 32-bit number`);
  }
  const bytes = [first, kind & 255, low >>> 24, (low >>> 16) & 255, (low >>> 8) & 255, low & 255];
  return canonical(bytes.map((x) => HEX[x]).join(":"));
}

/** The link-local address that the kernel gives an interface with this MAC (RFC 4291 appendix A, addr_gen_mode eui64). */
export function linkLocalFromMac(mac: MacAddress): IpAddress {
  const m = macToBytes(mac);
  const out = new Uint8Array(16);
  out.set([0xfe, 0x80]);
  out.set([(m[0] ?? 0) ^ 0x02, m[1] ?? 0, m[2] ?? 0, 0xff, 0xfe, m[3] ?? 0, m[4] ?? 0, m[5] ?? 0], 8);
  return bytesToIp(out);
}
