import { familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { type Cidr, cidrContains, cidrsOverlap, compareCidr, formatCidr, parseNetwork } from "../base/ip/cidr.ts";
import { CidrMap } from "../base/ip/cidr-map.ts";
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
  const peers = new Map<string, PeerRow>();
  const ignored: IgnoredNode[] = [];
  let selfProblem: string | undefined;
  for (const node of all) {
    const conflict = claims.conflictOf(node);
    if (!conflict) claims.add(node);
    if (node === local) {
      selfProblem = conflict;
      continue;
    }
    const row = conflict === undefined ? peerRow(local, node) : conflict;
    if (typeof row === "string") ignored.push({ name: node.name, reason: row });
    else peers.set(node.name, row);
  }
  return {
    peers: new Map([...peers].sort(byKey)),
    ignored: ignored.sort((a, b) => compareText(a.name, b.name)),
    selfProblem,
  };
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
  // Both ends must choose the same family, whatever the order of their addresses: IPv4 if both have it.
  const family = ([4, 6] as const).find((f) => pick(local, f) !== undefined && pick(peer, f) !== undefined);
  const localIp = family && pick(local, family);
  const underlayIp = family && pick(peer, family);
  if (localIp === undefined || underlayIp === undefined) {
    return `its node addresses (${peer.underlayIps.join(", ")}) are of no family that this node has`;
  }
  const cidrs = cidrsOf(peer);
  for (const c of cidrs) {
    const ours = cidrsOf(local).find((own) => cidrsOverlap(own, c)); // a winner over us: `conflictOf` did not see us
    if (ours) return `its pod subnet ${formatCidr(c)} overlaps this node's ${formatCidr(ours)}`;
    const swallowed = [localIp, underlayIp].find((ip) => cidrContains(c, ip));
    if (swallowed) return `its pod subnet ${formatCidr(c)} contains the node address ${swallowed}`;
  }
  const vtepIps = ([4, 6] as const).flatMap((f) => cidrs.find((c) => c.family === f) ?? []).map(gatewayOf);
  const podCIDRs = cidrs.map(formatCidr);
  const { underlayIps } = peer;
  return { name: peer.name, id: peer.id, underlayIp, underlayIps, localIp, podCIDRs, vtepMac: peer.vtepMac, vtepIps };
}

/** What the nodes looked at so far have for themselves. */
class Claims {
  readonly #single = new Map<number | string, string>();
  readonly #cidrs = new CidrMap<string>();

  conflictOf(node: NodeInfo): string | undefined {
    for (const [claim, what] of singles(node)) {
      const holder = this.#single.get(claim);
      if (holder !== undefined) return `its ${what} ${claim} is also node ${holder}'s, whose ID is smaller or the same`;
    }
    for (const cidr of cidrsOf(node)) {
      for (const other of this.#cidrs.overlapping(cidr)) {
        const theirs = `node ${other.value}'s ${formatCidr(other.cidr)}`;
        return `its pod subnet ${formatCidr(cidr)} overlaps ${theirs}, whose ID is smaller`;
      }
    }
    return undefined;
  }

  add(node: NodeInfo): void {
    for (const [claim] of singles(node)) this.#single.set(claim, node.name);
    for (const cidr of cidrsOf(node)) this.#cidrs.set(cidr, node.name);
  }
}

function singles(node: NodeInfo): (readonly [claim: number | string, what: string])[] {
  const ips = node.underlayIps.map((ip) => [ip, "node address"] as const);
  return [[node.id, "ID"], [node.vtepMac, "VTEP address"], ...ips];
}

const parsed = new WeakMap<NodeInfo, readonly Cidr[]>();

/** Sorted. Parsed once for each info: a mesh of 1,000 nodes is built anew at every change. */
function cidrsOf(node: NodeInfo): readonly Cidr[] {
  let cidrs = parsed.get(node);
  if (!cidrs) parsed.set(node, (cidrs = node.podCIDRs.map(parseNetwork).sort(compareCidr)));
  return cidrs;
}

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
