import { compareIp, familyOf, type IpAddress, type IpFamily, isSpecialIp, parseIp } from "../base/ip/address.ts";
import { cidrContains, compareCidr, formatCidr, hostCidr, parseNetwork } from "../base/ip/cidr.ts";
import type { EgressClaim } from "../models/node.ts";
import type { LocalNodeRow, PeerRow } from "../nodes/api.ts";
import type { EgressWish } from "./annotation.ts";
import type { EgressNamespace, EgressProblem, EgressRow, EgressState, EgressWay } from "./api.ts";
import { type Holder, holderOf } from "./holders.ts";

/** Never translated, in any cluster: what a node gives its own machines only, and what never leaves the segment. */
const NEVER = ["169.254.0.0/16", "224.0.0.0/4", "fe80::/10", "ff00::/8"];
const FAMILIES = [4, 6] as const;

/** What egress addresses depend on, as one node sees it. */
export interface EgressInput {
  /** By namespace. */
  readonly wishes: ReadonlyMap<string, EgressWish>;
  /** By node, this one among them. */
  readonly claims: ReadonlyMap<string, readonly EgressClaim[]>;
  readonly local: LocalNodeRow;
  /** By name. */
  readonly peers: ReadonlyMap<string, PeerRow>;
  readonly localPods: Iterable<EgressPod>;
  /** Of other nodes, in the namespaces that wishes are of. */
  readonly remotePods: Iterable<EgressPod & { readonly node: string }>;
  readonly nodeAddresses: Iterable<IpAddress>;
}

export interface EgressPod {
  readonly namespace: string;
  readonly ips: readonly string[];
}

/** A row, whose it is, and whether the pod is on this node. */
export interface CompiledRow extends EgressRow {
  readonly namespace: string;
  readonly isLocal: boolean;
}

export interface Compiled {
  readonly state: Omit<EgressState, "rows"> & { readonly rows: readonly CompiledRow[] };
  /** Sorted. */
  readonly namespaces: readonly EgressNamespace[];
}

/** Pure; undefined where no namespace has egress addresses. */
export function compileEgress(input: EgressInput): Compiled | undefined {
  const { wishes, local, peers } = input;
  if (wishes.size === 0) return undefined;
  const usable = new Map([...input.claims].filter(([node]) => node === local.name || peers.has(node)));
  const plans = new Map([...wishes].map(([namespace, wish]) => [namespace, new Plan(wish, usable, local)]));
  const rows = new Map<string, CompiledRow>();
  for (const { namespace, node, ips } of input.remotePods) {
    const networks = peers.get(node)?.podCIDRs.map(parseNetwork) ?? [];
    for (const pod of ips.map(parseIp)) {
      const way = plans.get(namespace)?.ways[familyOf(pod)];
      // Its own node leads it here; what it says of itself is believed only of its node's own addresses.
      if (way?.to !== "here" || !networks.some((network) => cidrContains(network, pod))) continue;
      rows.set(pod, { pod, way, namespace, isLocal: false });
    }
  }
  for (const { namespace, ips } of input.localPods) {
    const plan = plans.get(namespace);
    if (!plan) continue;
    for (const pod of ips.map(parseIp)) {
      rows.set(pod, { pod, way: plan.ways[familyOf(pod)], namespace, isLocal: true });
    }
  }
  const sorted = [...rows.values()].sort((a, b) => compareIp(a.pod, b.pod));
  const used = new Set(sorted.flatMap(({ way }) => (way.to === "peer" ? [way.peer] : [])));
  const claimed = [...usable.values()].flatMap((claims) => claims.map(({ ip }) => ip));
  const counts = Map.groupBy(sorted, ({ namespace }) => namespace);
  return {
    state: {
      local,
      rows: sorted,
      gateways: [...peers.values()].filter(({ name }) => used.has(name)).sort(byName),
      kept: keptOf([...input.nodeAddresses, ...claimed]),
      peerCIDRs: [...new Set([...peers.values()].flatMap(({ podCIDRs }) => podCIDRs))].sort(),
    },
    namespaces: [...plans]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([namespace, { addresses, problems }]) => {
        return { namespace, addresses, pods: counts.get(namespace)?.length ?? 0, problems };
      }),
  };
}

/** What a wish comes to. */
class Plan {
  readonly ways: Record<IpFamily, EgressWay> = { 4: { to: "nowhere" }, 6: { to: "nowhere" } };
  readonly addresses: EgressNamespace["addresses"][number][] = [];
  readonly problems: EgressProblem[] = [];

  constructor(wish: EgressWish, claims: ReadonlyMap<string, readonly EgressClaim[]>, local: LocalNodeRow) {
    if ("invalid" in wish) {
      this.problems.push({ code: "INVALID", message: `${wish.invalid}; what leaves the cluster is dropped` });
      return;
    }
    for (const family of FAMILIES) {
      const address = wish.addresses[family];
      if (address === undefined) {
        if (!local.podCIDRs.some((cidr) => parseNetwork(cidr).family === family)) continue;
        const message = `no IPv${family} address is named; what leaves the cluster by IPv${family} is dropped`;
        this.problems.push({ code: "NO_FAMILY", message });
        continue;
      }
      const holder = holderOf(address, claims);
      this.addresses.push({ address, ...(holder ? { node: holder.node } : {}) });
      if (holder) this.ways[family] = wayBy(holder, address, local);
      this.problems.push(...holderProblems(address, family, holder));
    }
  }
}

const wayBy = (holder: Holder, source: IpAddress, local: LocalNodeRow): EgressWay =>
  holder.node === local.name ? { to: "here", source } : { to: "peer", peer: holder.node };

function holderProblems(address: IpAddress, family: IpFamily, holder: Holder | undefined): EgressProblem[] {
  if (!holder) {
    const message = `no node has ${address}; what leaves the cluster by IPv${family} is dropped`;
    return [{ code: "NO_NODE", message }];
  }
  if (holder.others.length === 0) return [];
  const also = `${holder.others.join(", ")} ${holder.others.length === 1 ? "says" : "say"} so, too`;
  const message = `${address} is taken to be node ${holder.node}'s, which got it last; ${also}`;
  return [{ code: "SEVERAL_NODES", message }];
}

function keptOf(addresses: readonly IpAddress[]): string[] {
  const hosts = new Set(addresses.filter((ip) => !isSpecialIp(ip)));
  return [...NEVER.map(parseNetwork), ...[...hosts].map(hostCidr)].sort(compareCidr).map(formatCidr);
}

const byName = (a: PeerRow, b: PeerRow): number => (a.name < b.name ? -1 : 1);
