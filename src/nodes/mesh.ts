import { familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { type Cidr, cidrContains, compareCidr, formatCidr, parseNetwork } from "../base/ip/cidr.ts";
import { CidrMap } from "../base/ip/cidr-map.ts";
import { memo } from "../base/memo/memo.ts";
import type { Change } from "../controller/api.ts";
import { gatewayOf } from "../ipam/api.ts";
import type { IgnoredNode, Mesh, NodeInfo, PeerRow } from "./api.ts";

/**
 * The rows for a node's dataplane. Pure: the same infos give the same mesh, whatever their order. Where two nodes can't
 * both be right (same ID, node address or VTEP address, overlapping pod subnets) the one with the larger ID loses (by name
 * if even the IDs are the same): every node comes to the same verdict, and the node that joined first goes on working.
 */
export function buildMesh(local: NodeInfo, nodes: Iterable<NodeInfo>): Mesh {
  const all = [local];
  for (const node of nodes) if (node.name !== local.name) all.push(node);
  all.sort(byIdThenName);

  const claims = new Claims();
  const conflicts = new Map<NodeInfo, string>();
  for (const node of all) {
    const conflict = claims.conflictOf(node);
    if (conflict === undefined) claims.add(node);
    else conflicts.set(node, conflict);
  }
  const selfProblem = conflicts.get(local);
  // If we are in the wrong we still can't send our own addresses to those who are in the right.
  const own = selfProblem === undefined ? undefined : new Claims().add(local);

  const peers = new Map<string, PeerRow>();
  const ignored: IgnoredNode[] = [];
  for (const node of all.sort((a, b) => compareText(a.name, b.name))) {
    if (node === local) continue;
    const row = conflicts.get(node) ?? own?.conflictOf(node) ?? peerRow(local, node);
    if (typeof row === "string") ignored.push({ name: node.name, reason: row });
    else peers.set(node.name, row);
  }
  return { peers, ignored, selfProblem };
}

/** What changed between two meshes, by name. */
export function diffPeers(old: ReadonlyMap<string, PeerRow>, now: ReadonlyMap<string, PeerRow>): Change<PeerRow>[] {
  const changes: [string, Change<PeerRow>][] = [];
  for (const [name, row] of old) if (!now.has(name)) changes.push([name, { old: row, new: undefined }]);
  for (const [name, row] of now) {
    const before = old.get(name);
    if (!before || !samePeer(before, row)) changes.push([name, { old: before, new: row }]);
  }
  return changes.sort(byKey).map(([, change]) => change);
}

/** The peer's row, or why the two can't talk although neither is in the wrong with anybody else. */
function peerRow(local: NodeInfo, peer: NodeInfo): PeerRow | string {
  if (peer.overlay !== local.overlay) return `its overlay is ${peer.overlay}, this node's is ${local.overlay}`;
  if (peer.podCIDRs.length === 0) return "it has no pod subnet yet";
  if (peer.underlayIps.length === 0) return "its node address is not known yet";
  if (local.overlay === "vxlan" && tunnelFamily(local) !== tunnelFamily(peer)) {
    return `its tunnels run over IPv${tunnelFamily(peer)}, this node's over IPv${tunnelFamily(local)}`;
  }
  // Both ends must choose the same family, whatever the order of their addresses: IPv4 if both have it.
  const family = ([4, 6] as const).find((f) => pick(local, f) !== undefined && pick(peer, f) !== undefined);
  const localIp = family && pick(local, family);
  const underlayIp = family && pick(peer, family);
  if (localIp === undefined || underlayIp === undefined) {
    return `its node addresses (${peer.underlayIps.join(", ")}) are of no family that this node has`;
  }
  const { cidrs, podCIDRs, vtepIps } = derived(peer);
  for (const c of cidrs) {
    const swallowed = [localIp, underlayIp].find((ip) => cidrContains(c, ip));
    if (swallowed) return `its pod subnet ${formatCidr(c)} contains the node address ${swallowed}`;
  }
  const { name, id, underlayIps, vtepMac } = peer;
  return { name, id, underlayIp, underlayIps, localIp, podCIDRs, vtepMac, vtepIps };
}

/** What the nodes looked at so far have for themselves. */
class Claims {
  readonly #single = new Map<number | string, NodeInfo>();
  readonly #cidrs = new CidrMap<NodeInfo>();

  conflictOf(node: NodeInfo): string | undefined {
    for (const [claim, what] of singles(node)) {
      const holder = this.#single.get(claim);
      if (holder) return `its ${what} ${claim} is also that of ${nameAndId(holder)}`;
    }
    for (const cidr of derived(node).cidrs) {
      const [other] = [...this.#cidrs.overlapping(cidr)].sort((a, b) => compareCidr(a.cidr, b.cidr));
      if (!other) continue;
      return `its pod subnet ${formatCidr(cidr)} overlaps ${formatCidr(other.cidr)} of ${nameAndId(other.value)}`;
    }
    return undefined;
  }

  add(node: NodeInfo): this {
    for (const [claim] of singles(node)) this.#single.set(claim, node);
    for (const cidr of derived(node).cidrs) this.#cidrs.set(cidr, node);
    return this;
  }
}

const nameAndId = (node: NodeInfo): string => `node ${node.name} (ID ${node.id})`;

function singles(node: NodeInfo): (readonly [claim: number | string, what: string])[] {
  const ips = node.underlayIps.map((ip) => [ip, "node address"] as const);
  return [[node.id, "ID"], [node.vtepMac, "VTEP address"], ...ips];
}

interface Derived {
  /** Sorted. */
  readonly cidrs: readonly Cidr[];
  readonly podCIDRs: readonly string[];
  readonly vtepIps: readonly IpAddress[];
}

/** What follows from an info alone, computed once: a mesh of 1,000 nodes is built anew at every change. */
const derived = memo((node: NodeInfo): Derived => {
  const cidrs = node.podCIDRs.map(parseNetwork).sort(compareCidr);
  const vtepIps = ([4, 6] as const).flatMap((f) => cidrs.find((c) => c.family === f) ?? []).map(gatewayOf);
  return { cidrs, podCIDRs: cidrs.map(formatCidr), vtepIps };
});

/** A VXLAN device has one local address, and with it one family: IPv4 if the node has it. */
const tunnelFamily = (node: NodeInfo): IpFamily => (pick(node, 4) === undefined ? 6 : 4);

const pick = (node: NodeInfo, family: IpFamily): IpAddress | undefined =>
  node.underlayIps.find((ip) => familyOf(ip) === family);

const same = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i]);

const samePeer = (a: PeerRow, b: PeerRow): boolean =>
  a.id === b.id &&
  a.underlayIp === b.underlayIp &&
  a.localIp === b.localIp &&
  a.vtepMac === b.vtepMac &&
  same(a.underlayIps, b.underlayIps) &&
  same(a.podCIDRs, b.podCIDRs) &&
  same(a.vtepIps, b.vtepIps);

/** Not by locale: every node sorts alike. */
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => compareText(a, b);
const byIdThenName = (a: NodeInfo, b: NodeInfo): number => a.id - b.id || compareText(a.name, b.name);
