import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkIp } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/**
 * "Steal the NIC": what is sent to an address of VPP's that nobody in VPP wants (a TCP or UDP port without a listener, for
 * one) goes on by an interface, to the host.
 */
export interface StnRuleValue {
  readonly address: string;
  readonly interface: string;
}

export const STN_PREFIX = "vpp/stn/";
export const stnRuleKey = (v: Pick<StnRuleValue, "address">): Key => `${STN_PREFIX}${v.address}`;

/** Throws `InvalidValueError`. */
export function validateStnRule(value: StnRuleValue): void {
  checkIp(value.address, "address");
  check(value.address !== "0.0.0.0" && value.address !== "::", "address", `${value.address} is nobody's address`);
  checkInterfaceName(value.interface);
}
