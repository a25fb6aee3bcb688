import { NetlinkFormatError } from "./nlmsg.ts";

/** Longest link-layer address that the kernel knows (MAX_ADDR_LEN in linux/netdevice.h). */
const MAX_LENGTH = 32;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));
const PATTERN = /^[0-9a-f]{2}(:[0-9a-f]{2})*$/i;

/** `02:00:0a:01:00:02` of link-layer bytes: six for Ethernet, others for tunnels. */
export function bytesToMac(bytes: Uint8Array): string {
  if (bytes.length === 0 || bytes.length > MAX_LENGTH) {
    throw new NetlinkFormatError(`link-layer address of ${bytes.length} bytes`);
  }
  let text = "";
  for (const byte of bytes) text += text === "" ? HEX[byte] : `:${HEX[byte]}`;
  return text;
}

/** Bytes of a link-layer address in its usual notation. Throws a RangeError for anything else. */
export function macToBytes(mac: string): Uint8Array {
  if (!PATTERN.test(mac) || mac.length > MAX_LENGTH * 3 - 1) throw new RangeError(`not a MAC address: '${mac}'`);
  return Uint8Array.from(mac.split(":"), (part) => Number.parseInt(part, 16));
}
