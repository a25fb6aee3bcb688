import { familyOf, parseIp } from "../../base/ip/address.ts";
import { formatCidr, parseCidr } from "../../base/ip/cidr.ts";
import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp, checkName, checkNetwork } from "./checks.ts";
import { checkInterfaceName, checkMac } from "./interface.ts";

/* What VPP routes by: addresses, tables, routes, neighbours. */

export interface VppAddressValue {
  readonly interface: string;
  /** Canonical text with its prefix length: `10.1.0.1/24`. */
  readonly address: string;
  /** Number of the table that the interface is in for this family, where it is another one than 0. */
  readonly vrf?: number;
}

/** The interface uses the addresses of another one. */
export interface UnnumberedValue {
  readonly interface: string;
  readonly to: string;
  /** Numbers of the tables that the interface itself is in, where they are others than 0. */
  readonly vrf4?: number;
  readonly vrf6?: number;
}

/** A table of routes beside VPP's own, which is number 0. */
export interface VrfValue {
  readonly family: 4 | 6;
  /** Not 0. */
  readonly id: number;
  readonly name: string;
}

/**
 * Where packets of one family that come in by an interface are looked up, and where its addresses are; absent: table 0.
 * VPP refuses to change it while the interface has addresses: they name the table too, and wait for this item.
 */
export interface InterfaceVrfValue {
  readonly interface: string;
  readonly family: 4 | 6;
  /** Number of a {@link VrfValue} of this family. */
  readonly vrf: number;
}

/** One of the ways that a route's packets take. */
export type RoutePath =
  | {
      readonly type: "via";
      /** Absent: the gateway is looked up in the route's own table. */
      readonly interface?: string;
      /** Absent: the destination is on the interface. */
      readonly gateway?: string;
      /** 1 to 255; 1 if absent. */
      readonly weight?: number;
    }
  /** Looked up again, by its destination, in another table of the same family. */
  | { readonly type: "lookup"; readonly vrf: number }
  | { readonly type: "drop" }
  /** Answered with an ICMP error. */
  | { readonly type: "unreachable" }
  | { readonly type: "prohibit" };

export interface VppRouteValue {
  readonly vrf: number;
  /** Canonical CIDR. */
  readonly dst: string;
  /** At least one; several share the packets by their weights. Their order means nothing. */
  readonly paths: readonly RoutePath[];
  /** What must be in place before, beside what the paths name. Not read back. */
  readonly requires?: readonly Key[];
}

/** A neighbour that is not asked for. */
export interface VppNeighbourValue {
  readonly interface: string;
  readonly address: string;
  readonly mac: string;
}

export const VPP_ADDRESS_PREFIX = "vpp/address/";
export const UNNUMBERED_PREFIX = "vpp/unnumbered/";
export const VRF_PREFIX = "vpp/vrf/";
export const INTERFACE_VRF_PREFIX = "vpp/interface-vrf/";
export const VPP_ROUTE_PREFIX = "vpp/route/";
export const VPP_NEIGHBOUR_PREFIX = "vpp/neighbour/";

export const vppAddressKey = (v: VppAddressValue): Key => `${VPP_ADDRESS_PREFIX}${v.interface}/${v.address}`;
export const unnumberedKey = (name: string): Key => `${UNNUMBERED_PREFIX}${name}`;
export const vrfKey = (v: Pick<VrfValue, "family" | "id">): Key => `${VRF_PREFIX}${v.family}/${v.id}`;
export const interfaceVrfKey = (v: Pick<InterfaceVrfValue, "family" | "interface">): Key =>
  `${INTERFACE_VRF_PREFIX}${v.family}/${v.interface}`;
export const vppRouteKey = (v: Pick<VppRouteValue, "dst" | "vrf">): Key => `${VPP_ROUTE_PREFIX}${v.vrf}/${v.dst}`;
export const vppNeighbourKey = (v: Pick<VppNeighbourValue, "address" | "interface">): Key =>
  `${VPP_NEIGHBOUR_PREFIX}${v.interface}/${v.address}`;

export const addressFamily = ({ address }: Pick<VppAddressValue, "address">): 4 | 6 => (address.includes(":") ? 6 : 4);
export const routeFamily = ({ dst }: Pick<VppRouteValue, "dst">): 4 | 6 => (dst.includes(":") ? 6 : 4);

const MAX_TABLE = 0xffff_fffe;
/** VPP makes at most so many buckets of a route. */
const MAX_PATHS = 255;

/** @throws InvalidValueError */
export function validateAddress(value: VppAddressValue): void {
  checkInterfaceName(value.interface);
  let canonical: string | undefined;
  try {
    canonical = formatCidr(parseCidr(value.address));
  } catch {
    // said below
  }
  check(canonical === value.address, "address", `${JSON.stringify(value.address)} is no canonical address/length`);
  if (value.vrf !== undefined) checkInteger(value.vrf, "vrf", 1, MAX_TABLE);
}

/** @throws InvalidValueError */
export function validateUnnumbered(value: UnnumberedValue): void {
  checkInterfaceName(value.interface);
  checkInterfaceName(value.to, "to");
  check(value.to !== value.interface, "to", "is the interface itself");
  for (const field of ["vrf4", "vrf6"] as const) {
    const vrf = value[field];
    if (vrf !== undefined) checkInteger(vrf, field, 1, MAX_TABLE);
  }
}

/** @throws InvalidValueError */
export function validateVrf(value: VrfValue): void {
  checkInteger(value.id, "id", 1, MAX_TABLE);
  checkName(value.name, "name");
}

/** @throws InvalidValueError */
export function validateRoute(value: VppRouteValue): void {
  const family = checkNetwork(value.dst, "dst");
  checkInteger(value.vrf, "vrf", 0, MAX_TABLE);
  validatePaths(value.paths, family);
  for (const path of value.paths) {
    const round = path.type === "lookup" && path.vrf === value.vrf;
    check(!round, "paths.vrf", "is the route's own table: a packet would go round for ever");
    const own = path.type === "via" && value.dst === `${path.gateway}/${family === 4 ? 32 : 128}`;
    check(!own, "paths.gateway", "is the destination itself: name the interface alone");
  }
}

/** @throws InvalidValueError */
export function validateInterfaceVrf(value: InterfaceVrfValue): void {
  checkInterfaceName(value.interface);
  checkInteger(value.vrf, "vrf", 1, MAX_TABLE);
}

/**
 * VPP asserts on paths whose type, protocol and interface don't go together; what this model can say is safe if the
 * families agree.
 *
 * @throws InvalidValueError
 */
export function validatePaths(paths: readonly RoutePath[], family: 4 | 6): void {
  const { length } = paths;
  check(length > 0 && length <= MAX_PATHS, "paths", `1 to ${MAX_PATHS}, not ${length}`);
  for (const path of paths) {
    if (path.type === "lookup") checkInteger(path.vrf, "paths.vrf", 0, MAX_TABLE);
    if (path.type !== "via") {
      check(length === 1, "paths", `${path.type} shares no packets with other paths`);
      continue;
    }
    check(path.interface !== undefined || path.gateway !== undefined, "paths", "neither interface nor gateway");
    if (path.interface !== undefined) checkInterfaceName(path.interface, "paths.interface");
    if (path.gateway !== undefined) checkIp(path.gateway, "paths.gateway", family);
    if (path.weight !== undefined) checkInteger(path.weight, "paths.weight", 1, 255);
  }
}

/** @throws InvalidValueError */
export function validateNeighbour(value: VppNeighbourValue): void {
  checkInterfaceName(value.interface);
  checkIp(value.address, "address");
  checkMac(value.mac, "mac");
  const isAny = value.address === "0.0.0.0" || value.address === "::";
  check(!isAny, "address", `${value.address} is nobody's address (IPv${familyOf(parseIp(value.address))})`);
}
