import { familyOf, type IpAddress } from "../base/ip/address.ts";
import type { Frontend, PortProtocol, ServiceView } from "./api.ts";
import { frontendKey, hostPortKey } from "./names.ts";

/** The frontend that a packet is for, in the order of ./api.ts; undefined if it is for none. */
export function lookUp(
  view: Pick<ServiceView, "base" | "frontend" | "isOwn">,
  to: IpAddress,
  protocol: PortProtocol,
  port: number,
): Frontend | undefined {
  const family = familyOf(to);
  const exact = view.frontend(frontendKey(family, protocol, to, port));
  if (exact && exact.kind !== "HostPort") return exact;
  const isForNodePorts = view.base.nodePortAddresses.includes(to);
  const nodePort = isForNodePorts ? view.frontend(frontendKey(family, protocol, undefined, port)) : undefined;
  if (nodePort) return nodePort;
  if (!isLoopback4(to) && !view.isOwn(to)) return undefined;
  return exact ?? view.frontend(hostPortKey(family, protocol, port));
}

/** IPv6 has nothing alike: packets from ::1 never leave the node. */
export const isLoopback4 = (ip: string): boolean => ip.startsWith("127.");
