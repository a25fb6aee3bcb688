import type { GroupOp, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type NftChainValue,
  type NftElementValue,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../models/nft.ts";
import type { Frontend } from "../../../services/api.ts";
import type { FlowTarget } from "../conntrack/flusher.ts";
import { HOST_PORTS, HOST_PORTS_CHAIN, HOST_PORTS_IP } from "./names.ts";

const FAMILIES = [4, 6] as const;

/**
 * What leads host ports to pods, whether or not there are any. A port has one pod, so it is looked up in maps that hold the pod
 * itself, which costs a change less than a verdict does: the kernel looks for loops among all chains whenever one of those changes.
 */
export function* hostPortBase(): Iterable<KeyValue> {
  for (const family of FAMILIES) {
    const addr = family === 4 ? "ipv4_addr" : "ipv6_addr";
    const map = { kind: "map", data: `${addr} . inet_service` } as const;
    yield set({ ...map, name: HOST_PORTS[family], type: "inet_proto . inet_service" });
    yield set({ ...map, name: HOST_PORTS_IP[family], type: `${addr} . inet_proto . inet_service` });
  }
  yield chain({
    name: HOST_PORTS_CHAIN,
    rules: [
      // IPv6 lets nothing from ::1 leave the node: what listens there keeps its ports.
      "ip6 daddr ::1 return",
      ...FAMILIES.flatMap((f) => {
        const ip = f === 4 ? "ip" : "ip6";
        return [
          `dnat ${ip} to ${ip} daddr . meta l4proto . th dport map @${HOST_PORTS_IP[f]}`,
          `meta nfproto ipv${f} dnat ${ip} to meta l4proto . th dport map @${HOST_PORTS[f]}`,
        ];
      }),
    ],
    uses: [...Object.values(HOST_PORTS), ...Object.values(HOST_PORTS_IP)],
    jumps: [],
  });
}

/** The element of a host port; none of a frontend of a service. */
export function* hostPortItems({ family, address, protocol, port, paths }: Frontend): Iterable<KeyValue> {
  const { pod } = paths;
  if (pod.verdict !== "translate") return;
  const data = `${pod.to.address} . ${pod.to.port}`;
  const socket = `${protocol.toLowerCase()} . ${port}`;
  const value: NftElementValue =
    address === undefined
      ? { set: HOST_PORTS[family], key: socket, data }
      : { set: HOST_PORTS_IP[family], key: `${address} . ${socket}`, data };
  yield { key: nftElementKey(value.set, value.key), value };
}

const MAPS = new Map<string, { readonly family: 4 | 6; readonly byAddress: boolean }>(
  FAMILIES.flatMap((family) => [
    [HOST_PORTS[family], { family, byAddress: false }],
    [HOST_PORTS_IP[family], { family, byAddress: true }],
  ]),
);

/**
 * The flows that go elsewhere from now on, after these operations on the table, and must not stay where they were: so that
 * whoever hears of a change, the runtime that has added a pod say, finds it in force. What an agent that was killed in between
 * has left is found by ./stale-flows.ts.
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
    const { set: name, key } = value as NftElementValue;
    const map = MAPS.get(name);
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

const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
