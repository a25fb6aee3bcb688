import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { checkInterfaceName } from "./interface.ts";
import { type RoutePath, validatePaths } from "./l3.ts";

/** Everything of one family that an interface receives takes these paths; no route is looked up. */
export interface L3CrossConnectValue {
  readonly interface: string;
  readonly family: 4 | 6;
  /** As those of a route; a gateway without an interface is looked up in VPP's own table. */
  readonly paths: readonly RoutePath[];
}

export const L3XC_PREFIX = "vpp/l3xc/";
export const l3CrossConnectKey = (v: Pick<L3CrossConnectValue, "family" | "interface">): Key =>
  `${L3XC_PREFIX}${v.interface}/${v.family}`;

/** Throws `InvalidValueError`. */
export function validateL3CrossConnect(value: L3CrossConnectValue): void {
  checkInterfaceName(value.interface);
  validatePaths(value.paths, value.family);
}
