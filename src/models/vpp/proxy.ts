import { compareIp, parseIp } from "../../base/ip/address.ts";
import type { Key } from "../../kvscheduler/api/descriptor.ts";
import { check, checkInteger, checkIp } from "./checks.ts";
import { checkInterfaceName } from "./interface.ts";

/* Addresses that VPP answers for on behalf of others. */

/** ARP requests for these addresses are answered, on the interfaces that have a {@link ProxyArpInterfaceValue}. */
export interface ProxyArpRangeValue {
  readonly vrf: number;
  /** First and last, both included. IPv4. */
  readonly first: string;
  readonly last: string;
}

export interface ProxyArpInterfaceValue {
  readonly interface: string;
}

/** Neighbour solicitations for an IPv6 address that is on `interface` are answered on the other ones of its VRF. */
export interface ProxyNdValue {
  /** VPP tells of one interface for each address. */
  readonly address: string;
  readonly interface: string;
}

/** Answers neighbour solicitations on the interface for every IPv6 address that has a host route. */
export interface ProxyNdInterfaceValue {
  readonly interface: string;
}

export const PROXY_ARP_RANGE_PREFIX = "vpp/proxy-arp/";
export const PROXY_ARP_INTERFACE_PREFIX = "vpp/proxy-arp-interface/";
export const PROXY_ND_PREFIX = "vpp/proxy-nd/";
export const PROXY_ND_INTERFACE_PREFIX = "vpp/proxy-nd-interface/";

export const proxyArpRangeKey = (v: ProxyArpRangeValue): Key =>
  `${PROXY_ARP_RANGE_PREFIX}${v.vrf}/${v.first}-${v.last}`;
export const proxyArpInterfaceKey = (name: string): Key => `${PROXY_ARP_INTERFACE_PREFIX}${name}`;
export const proxyNdKey = (v: Pick<ProxyNdValue, "address">): Key => `${PROXY_ND_PREFIX}${v.address}`;
export const proxyNdInterfaceKey = (name: string): Key => `${PROXY_ND_INTERFACE_PREFIX}${name}`;

/** Throws `InvalidValueError`. */
export function validateProxyArpRange({ vrf, first, last }: ProxyArpRangeValue): void {
  checkInteger(vrf, "vrf", 0, 0xffff_fffe);
  checkIp(first, "first", 4);
  checkIp(last, "last", 4);
  check(compareIp(parseIp(first), parseIp(last)) <= 0, "last", `${last} is before ${first}`);
}

/** Throws `InvalidValueError`. */
export function validateProxyNd({ address, interface: name }: ProxyNdValue): void {
  checkIp(address, "address", 6);
  check(!/^(ff|fe[89ab]|::$)/.test(address), "address", `${address} is not one that another link asks for`);
  checkInterfaceName(name);
}
