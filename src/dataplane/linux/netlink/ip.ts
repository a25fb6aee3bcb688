import { isIP } from "node:net";
import {
  bytesToIp as baseBytesToIp,
  ipToBytes as baseIpToBytes,
  type IpAddress,
  parseIp,
} from "../../../base/ip/address.ts";
import { NetlinkFormatError } from "./nlmsg.ts";

/** Address families of linux/socket.h. */
export const AddressFamily = { UNSPEC: 0, INET: 2, BRIDGE: 7, INET6: 10 } as const;
export type AddressFamily = (typeof AddressFamily)[keyof typeof AddressFamily];

/** Four bytes for IPv4, sixteen for IPv6. Throws a RangeError for what is neither, zones (`%eth0`) included. */
export function ipToBytes(address: string): Uint8Array {
  if (isIP(address) === 0 || address.includes("%")) throw new RangeError(`not an IP address: '${address}'`);
  // Nearly always the text is canonical already, which the way back shows at a tenth of what parsing costs.
  const bytes = baseIpToBytes(address as IpAddress);
  return baseBytesToIp(bytes) === address ? bytes : baseIpToBytes(parseIp(address));
}

/** Canonical text of 4 or 16 bytes. */
export function bytesToIp(bytes: Uint8Array): IpAddress {
  if (bytes.length !== 4 && bytes.length !== 16) throw new NetlinkFormatError(`IP address of ${bytes.length} bytes`);
  return baseBytesToIp(bytes);
}

/** The family of an address, or of a prefix such as `10.1.0.0/16`. */
export function familyOf(address: string): typeof AddressFamily.INET | typeof AddressFamily.INET6 {
  return address.includes(":") ? AddressFamily.INET6 : AddressFamily.INET;
}

/** An address with a prefix length, `10.1.0.1/32`. Without `/` it is a host's: 32 or 128. Throws a RangeError. */
export function parsePrefix(prefix: string): { bytes: Uint8Array; length: number } {
  const slash = prefix.indexOf("/");
  if (slash < 0) {
    const bytes = ipToBytes(prefix);
    return { bytes, length: bytes.length * 8 };
  }
  const bytes = ipToBytes(prefix.slice(0, slash));
  const text = prefix.slice(slash + 1);
  const length = Number(text);
  if (!/^\d{1,3}$/.test(text) || length > bytes.length * 8) {
    throw new RangeError(`not an address with a prefix length: '${prefix}'`);
  }
  return { bytes, length };
}

/** Text of a prefix whose address may be absent, as that of a default route. */
export function formatPrefix(family: number, address: string | undefined, length: number): string {
  return `${address ?? (family === AddressFamily.INET6 ? "::" : "0.0.0.0")}/${length}`;
}
