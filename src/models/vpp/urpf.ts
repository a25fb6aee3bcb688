import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/** What an interface receives from a source that a table has no route to by this interface is dropped; one family. */
export interface SourceCheckValue {
  readonly interface: string;
  readonly family: 4 | 6;
  /** The table of routes that is asked. */
  readonly vrf: number;
  /** What must be in place before, such as the routes. Not read back. */
  readonly requires?: readonly Key[];
}

export const SOURCE_CHECK_PREFIX = "vpp/source-check/";

export const sourceCheckKey = (v: Pick<SourceCheckValue, "family" | "interface">): Key =>
  `${SOURCE_CHECK_PREFIX}${v.family}/${v.interface}`;

/** @throws InvalidValueError */
export function validateSourceCheck(value: SourceCheckValue): void {
  checkInterfaceName(value.interface);
  check([4, 6].includes(value.family), "family", `${value.family} is none`);
  checkInteger(value.vrf, "vrf", 0, 0xffff_fffe);
}
