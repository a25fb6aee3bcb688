import { createHash } from "node:crypto";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_IPV4 } from "../../../models/linux.ts";
import { type InterfaceVrfValue, interfaceVrfKey, vppAddressKey, vppRouteKey, vrfKey } from "../../../models/vpp/l3.ts";
import { hostCidr, item } from "../item.ts";

/** Above the node's own. */
const FIRST = 0x4000_0000;
/** The interface's own, what VPP answers from: a pod finds its gateway there as well. The second is for VPP alone (RFC 4193). */
const OWN = { 4: GATEWAY_IPV4, 6: "fd68:6564:646c::1" } as const;

/** The number of an interface's own table. Two that get the same by chance are refused the second's addresses. */
function tableOf(name: string): number {
  return FIRST + (createHash("sha256").update(name).digest().readUInt32BE() & 0x3fff_ffff);
}

/**
 * Has an interface take packets, as an end of a wire, in a table of its own, which leads to this end alone: what the wire does
 * not carry (another family, or all while it is being made) is dropped there, and what VPP answers (that a packet is too
 * long) gets back.
 *
 * @param addresses what is reached there
 * @returns what must be in place before the first packet
 */
export function* tableItems(name: string, addresses: readonly string[]): Generator<KeyValue, Key[]> {
  const id = tableOf(name);
  const needed: Key[] = [];
  for (const family of [4, 6] as const) {
    yield item(vrfKey, { family, id, name });
    yield item(interfaceVrfKey, { interface: name, family, vrf: id } satisfies InterfaceVrfValue);
    const own = { interface: name, address: hostCidr(OWN[family]), vrf: id };
    yield item(vppAddressKey, own);
    needed.push(vppAddressKey(own));
  }
  for (const address of addresses) {
    yield item(vppRouteKey, { vrf: id, dst: hostCidr(address), paths: [{ type: "via" as const, interface: name }] });
  }
  return needed;
}
