import { familyOf, type IpFamily, tryParseIp } from "../../base/ip/address.ts";
import { formatCidr, parseNetwork } from "../../base/ip/cidr.ts";
import { InvalidValueError } from "../../kvscheduler/api/errors.ts";

/*
 * What models of VPP are checked for before anything is sent: VPP's own checks are often assertions. Texts have to be
 * canonical, because what is read back is compared with them.
 */

/** Prefix of the tags that make an object of VPP ours; the object's name follows. */
export const TAG_PREFIX = "heddle:";
/** 64 bytes of a tag, one of them NUL, less the prefix. */
const MAX_NAME = 63 - TAG_PREFIX.length;

/** The name in a tag of ours; undefined for what somebody else made. */
export const nameOfTag = (tag: string): string | undefined =>
  tag.startsWith(TAG_PREFIX) ? tag.slice(TAG_PREFIX.length) : undefined;

export function check(ok: boolean, field: string, why: string): asserts ok {
  if (!ok) throw new InvalidValueError(`${field}: ${why}`, [field]);
}

/** A name that fits into a tag beside `reserved` other bytes. */
export function checkName(name: string, field: string, reserved = 0): void {
  const bytes = Buffer.byteLength(name);
  check(bytes > 0 && bytes <= MAX_NAME - reserved, field, `1 to ${MAX_NAME - reserved} bytes, not ${bytes}`);
}

export function checkInteger(value: number, field: string, min: number, max: number): void {
  check(Number.isInteger(value) && value >= min && value <= max, field, `${value} is not between ${min} and ${max}`);
}

/** IFNAMSIZ less its NUL. */
const MAX_DEVICE = 15;

/** Name of a kernel's device. */
export function checkDevice(device: string): void {
  check(/^[^\s/]+$/.test(device) && Buffer.byteLength(device) <= MAX_DEVICE, "device", `${device} names no device`);
}

/** Canonical text of an address; of `family`, where one is asked for. Returns its family. */
export function checkIp(text: string, field: string, family?: IpFamily): IpFamily {
  const ip = tryParseIp(text);
  check(ip !== undefined && ip === text, field, `${JSON.stringify(text)} is not the canonical text of an address`);
  const found = familyOf(ip);
  check(family === undefined || family === found, field, `${text} is not an IPv${family} address`);
  return found;
}

/** Canonical text of a network: no bits behind the prefix. Returns its family. */
export function checkNetwork(text: string, field: string): IpFamily {
  let canonical: string | undefined;
  try {
    canonical = formatCidr(parseNetwork(text));
  } catch {
    // said below
  }
  check(canonical === text, field, `${JSON.stringify(text)} is not the canonical text of a network`);
  return text.includes(":") ? 6 : 4;
}
