import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/** An interface that belongs to a bond: its packets are the bond's. */
export interface BondMemberValue {
  readonly interface: string;
  readonly bond: string;
  /** LACP: waits for the other end to begin. */
  readonly passive: boolean;
  /** LACP: 90 seconds without a packet until the other end is gone, else 3. */
  readonly longTimeout: boolean;
  /** Of active-backup, where the member with the largest weight is active. */
  readonly weight: number;
}

export const BOND_MEMBER_PREFIX = "vpp/bond-member/";
/** An interface belongs to one bond at most. */
export const bondMemberKey = (name: string): Key => `${BOND_MEMBER_PREFIX}${name}`;

/** Throws `InvalidValueError`. */
export function validateBondMember(value: BondMemberValue): void {
  checkInterfaceName(value.interface);
  checkInterfaceName(value.bond, "bond");
  check(value.interface !== value.bond, "bond", "is the interface itself");
  checkInteger(value.weight, "weight", 0, 0xffff_ffff);
}
