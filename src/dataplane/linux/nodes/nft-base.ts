import { cidrContains, parseNetwork } from "../../../base/ip/cidr.ts";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  NFT_TABLE,
  NFT_TABLE_KEY,
  type NftChainValue,
  type NftElementValue,
  type NftSetValue,
  nftChainKey,
  nftElementKey,
  nftSetKey,
} from "../../../models/nft.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";

/** Names of the table's sets and maps, by family where there are two. */
export const SETS = {
  /** Destinations that see pod addresses: the pools, the configured exclusions and, without overlay, the other nodes. */
  cluster: { 4: "cluster4", 6: "cluster6" },
  hairpin: { 4: "hairpin4", 6: "hairpin6" },
} as const;

/** The chain that keeps pods away from the node's loopback addresses. */
export const LOOPBACK_GUARD = "loopback_guard";

export interface NftBaseInput {
  /** This node's pod subnets. */
  readonly podCIDRs: readonly string[];
  /** Cluster pools and exclusions. */
  readonly clusterCIDRs: readonly string[];
  readonly masquerade: boolean;
  /** Only what leaves by this link is translated; if absent, what leaves by any that is not ours. */
  readonly outBy?: string;
}

/**
 * What the table holds whether or not there are pods: a fixed number of rules. What grows with pods is elements of maps,
 * so the cost of a packet does not.
 */
export function* nftBaseItems(input: NftBaseInput): Iterable<KeyValue> {
  yield { key: NFT_TABLE_KEY, value: NFT_TABLE };
  for (const family of [4, 6] as const) {
    const addr = family === 4 ? "ipv4_addr" : "ipv6_addr";
    yield set({ kind: "set", name: SETS.cluster[family], type: addr, flags: ["interval"] });
    yield set({ kind: "set", name: SETS.hairpin[family], type: `${addr} . ${addr}` });
  }
  for (const cidr of input.clusterCIDRs) yield clusterElement(cidr);
  // A link with route_localnet takes packets for 127.0.0.0/8 from the pod too, which would reach what the node offers to
  // itself only (CVE-2020-8558). As raw (-300), before any translation: answers to the node still have their own address.
  yield chain({
    name: LOOPBACK_GUARD,
    hook: { type: "filter", hook: "prerouting", priority: -300 },
    rules: ['iifname "hd*" ip daddr 127.0.0.0/8 drop', 'iifname "hd*" ip saddr 127.0.0.0/8 drop'],
    uses: [],
    jumps: [],
  });
  const outside = input.outBy === undefined ? 'oifname != "hd*"' : `oifname "${input.outBy}"`;
  const masquerade = input.podCIDRs.map((cidr) => {
    const f = cidr.includes(":") ? 6 : 4;
    // Multicast and link-local destinations never leave the segment; translating them would only confuse.
    const local = f === 4 ? "224.0.0.0/4" : "{ fe80::/10, ff00::/8 }";
    return `${ip(f)} saddr ${cidr} ${ip(f)} daddr != @${SETS.cluster[f]} ${ip(f)} daddr != ${local} ${outside} masquerade`;
  });
  yield chain({
    name: "postrouting_snat",
    // Before the usual srcnat (100), so that a kube-proxy beside us does not translate first.
    hook: { type: "nat", hook: "postrouting", priority: 90 },
    rules: [
      ...([4, 6] as const).map((f) => `ct status dnat ${ip(f)} saddr . ${ip(f)} daddr @${SETS.hairpin[f]} masquerade`),
      ...(input.masquerade ? masquerade : []),
    ],
    uses: [...Object.values(SETS.cluster), ...Object.values(SETS.hairpin)],
    jumps: [],
  });
}

/**
 * Where there is no overlay, a peer has routes to pods: it sees their addresses, and its own processes may ask them directly.
 * The dataplane of the answer may have the kernel send it, without it having seen the question.
 */
export function* untranslatedPeer(peer: PeerRow, local: LocalNodeRow): Iterable<KeyValue> {
  const networks = local.clusterCIDRs.map(parseNetwork);
  for (const ip of peer.underlayIps) {
    // Intervals of a set do not overlap.
    if (!networks.some((network) => cidrContains(network, ip))) yield clusterElement(ip);
  }
}

const clusterElement = (cidr: string): KeyValue => networkElement(SETS.cluster, cidr);

/** A network, or an address, in the set of its family. */
export function networkElement(sets: Readonly<Record<4 | 6, string>>, cidr: string): KeyValue {
  const ipv6 = cidr.includes(":");
  const name = sets[ipv6 ? 6 : 4];
  // nft lists a prefix of full length as an address.
  const key = cidr.endsWith(ipv6 ? "/128" : "/32") ? cidr.slice(0, cidr.indexOf("/")) : cidr;
  return { key: nftElementKey(name, key), value: { set: name, key } satisfies NftElementValue };
}

const ip = (family: 4 | 6): "ip" | "ip6" => (family === 4 ? "ip" : "ip6");
const set = (value: NftSetValue): KeyValue => ({ key: nftSetKey(value.name), value });
const chain = (value: NftChainValue): KeyValue => ({ key: nftChainKey(value.name), value });
