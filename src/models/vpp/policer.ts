import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { checkInteger } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/**
 * What an interface receives beyond a rate is dropped, IPv4 and IPv6 together. One value for the policer and its place,
 * because VPP does not show which policer an interface has: each interface has its own, under the interface's name.
 */
export interface PolicerValue {
  readonly interface: string;
  /** Bits per second, Ethernet headers included. VPP keeps whole kilobits. */
  readonly rate: number;
  /** Bytes that pass at once after a pause. */
  readonly burst: number;
  /** `"other"` is only found, never asked for: a policer that its interface does not have, or that does something else. */
  readonly state: "other" | "policing";
}

export const POLICER_PREFIX = "vpp/policer/";
export const policerKey = (name: string): Key => `${POLICER_PREFIX}${name}`;

/**
 * What a packet socket hands over at once: a segment of 64 KiB behind an Ethernet header. It passes as a whole or not at
 * all; one that is larger than the burst never would, and VPP, which scales lengths by it in 32 bits, takes some of those
 * for small ones.
 */
export const MIN_POLICER_BURST = 65_536 + 14;
/** VPP computes the tokens of a period, scaled by 2¹⁰, in 32 bits: with the slowest clock that it is made for, 1 GHz. */
export const MAX_POLICER_RATE = 400e9;
export const MIN_POLICER_RATE = 1000;
/** VPP's counter of tokens. */
export const MAX_POLICER_BURST = 0xffff_ffff;

/** @throws InvalidValueError */
export function validatePolicer({ interface: name, rate, burst }: PolicerValue): void {
  checkInterfaceName(name);
  checkInteger(rate, "rate", MIN_POLICER_RATE, MAX_POLICER_RATE);
  checkInteger(burst, "burst", MIN_POLICER_BURST, MAX_POLICER_BURST);
}
