import type { GroupOp, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type SysctlValue, sysctlKey } from "../../../models/linux.ts";
import { type NftElementValue, nftChainKey, nftElementKey } from "../../../models/nft.ts";
import type { HostPort, PodRow } from "../../../pods/api.ts";
import type { FlowTarget } from "../conntrack/flusher.ts";
import { LOOPBACK_GUARD, SETS } from "../nodes/nft-base.ts";

/**
 * Elements of the maps that lead ports of the node to pods: `hostports4` for any address of the node, `hostports4_ip` for
 * one; the same for IPv6.
 */
export function* hostPortItems(row: PodRow): Iterable<KeyValue> {
  if (row.hostPorts.length === 0) return;
  for (const ip of row.ips) {
    const family = ip.includes(":") ? 6 : 4;
    for (const { protocol, hostPort, containerPort, hostIp } of row.hostPorts) {
      const data = `${ip} . ${containerPort}`;
      const wildcard = hostIp === undefined || hostIp === "0.0.0.0" || hostIp === "::";
      if (wildcard) {
        // "0.0.0.0" asks for IPv4 only, "::" for IPv6 only, nothing for both.
        if (hostIp !== undefined && hostIp.includes(":") !== (family === 6)) continue;
        yield element({ set: SETS.hostPorts[family], key: `${protocol} . ${hostPort}`, data });
      } else if (hostIp.includes(":") === (family === 6) && hostIp !== "::1") {
        yield element({ set: SETS.hostPortsIp[family], key: `${hostIp} . ${protocol} . ${hostPort}`, data });
      }
    }
  }
}

/**
 * Has a pod that reaches itself through a service, or through its own host port, translated: else it would answer itself from an
 * address that it did not ask.
 */
export function hairpinItem(address: string): KeyValue {
  return element({ set: SETS.hairpin[address.includes(":") ? 6 : 4], key: `${address} . ${address}` });
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

const MAPS = new Map<string, { readonly family: 4 | 6; readonly byAddress: boolean }>(
  ([4, 6] as const).flatMap((family) => [
    [SETS.hostPorts[family], { family, byAddress: false }],
    [SETS.hostPortsIp[family], { family, byAddress: true }],
  ]),
);

/**
 * The flows that go elsewhere from now on, after these operations on the table, and must not stay where they were:
 *
 * - UDP: all. A flow ends only by silence, so one towards a pod that is gone, or towards the node itself from before the
 *   port was a pod's, would last as long as the client keeps sending.
 * - SCTP: those towards a pod that is gone. An INIT leaves an established entry as it is (sctp_conntracks in
 *   nf_conntrack_proto_sctp.c), and peers with fixed ports repeat theirs for ever. An association with the node itself
 *   that is older than the host port stays, as a TCP connection does.
 * - TCP: none. Before a pod goes its processes end, and their FIN or RST moves the entry to TIME_WAIT or CLOSE, where a
 *   SYN on the same ports makes the kernel drop the entry and look the destination up anew (nf_conntrack_tcp_packet
 *   answers NF_REPEAT).
 */
export function* redirectedFlows(ops: readonly GroupOp[]): Iterable<FlowTarget> {
  for (const { descriptor, kind, value } of ops) {
    if (descriptor !== "nft-element") continue;
    const { set, key } = value as NftElementValue;
    const map = MAPS.get(set);
    if (!map) continue;
    const parts = key.split(" . ");
    const [port, protocol] = [Number(parts.at(-1)), parts.at(-2)];
    if (protocol !== "udp" && (protocol !== "sctp" || kind === "create")) continue;
    const [destination] = parts;
    yield {
      family: map.family,
      protocol,
      destinationPort: port,
      ...(map.byAddress && destination !== undefined ? { destination } : {}),
    };
  }
}

const element = (value: NftElementValue): KeyValue => ({ key: nftElementKey(value.set, value.key), value });
