import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type SysctlValue, sysctlKey } from "../../../models/linux.ts";
import { type NftElementValue, nftChainKey, nftElementKey } from "../../../models/nft.ts";
import type { HostPort, PodRow } from "../../../pods/api.ts";
import { LOOPBACK_GUARD, SETS } from "../nodes/nft-base.ts";

/**
 * Has a pod that reaches itself through a service, or through its own host port, translated: else it would answer itself from an
 * address that it did not ask.
 */
export function hairpinItem(address: string): KeyValue {
  const value: NftElementValue = {
    set: SETS.hairpin[address.includes(":") ? 6 : 4],
    key: `${address} . ${address}`,
  };
  return { key: nftElementKey(value.set, value.key), value };
}

/**
 * Lets packets from the node's 127.0.0.1 out to a pod with ports there, and the answers in: else the kernel refuses such
 * addresses on any link but `lo`. For this pod's link alone, and never without the guard. IPv6 has no such switch, so
 * there is no port on `::1`.
 */
export function* loopbackItems(row: PodRow): Iterable<KeyValue> {
  if (row.ips.every((ip) => ip.includes(":")) || !row.hostPorts.some(isOnLoopback)) return;
  const link = row.hostIf;
  const name = `net/ipv4/conf/${link}/route_localnet`;
  const value: SysctlValue = { name, value: "1", after: [], link, requires: [nftChainKey(LOOPBACK_GUARD)] };
  yield { key: sysctlKey(name), value };
}

const isOnLoopback = ({ hostIp }: HostPort): boolean =>
  hostIp === undefined || hostIp === "0.0.0.0" || hostIp.startsWith("127.");
