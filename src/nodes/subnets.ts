import { HeddleError } from "../base/errors/errors.ts";
import { addressBits, isSpecialIp, low32 } from "../base/ip/address.ts";
import {
  type Cidr,
  cidrsOverlap,
  formatCidr,
  lastAddress,
  parseNetwork,
  subnetAt,
  subnetCount,
} from "../base/ip/cidr.ts";
import { hasNodeSuffix, MAX_SUFFIX_NODE_ID } from "../ipam/api.ts";

/** A pool as configured. */
export interface PoolConfig {
  /** Addresses of the cluster's pods. */
  readonly cidr: string;
  /** Prefix length of what each node gets of it. */
  readonly nodePrefix: number;
}

/** A pool that has been checked. */
export interface Pool {
  readonly cidr: Cidr;
  readonly nodePrefix: number;
  /** How many nodes get a subnet of it. */
  readonly nodes: number;
  /** `network.pools[0] (10.244.0.0/16, a /24 per node)`, for messages. */
  readonly label: string;
}

/** The largest node ID that gets subnets, and what would have to be larger to allow more. */
export interface NodeIdLimit {
  readonly maxId: number;
  readonly limitedBy: string;
}

export interface ConfigProblem {
  /** Such as `network.pools[1].nodePrefix`. */
  readonly path: string;
  readonly message: string;
}

/** Every problem of the pools at once; the message has a line for each, beginning with its place in the configuration. */
export class PoolConfigError extends HeddleError<"BAD_POOLS"> {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super("BAD_POOLS", problems.map((p) => `${p.path}: ${p.message}`).join("\n"));
    this.problems = problems;
  }
}

/** No node prefix below these: a larger subnet than this for one node is a slip of the pen. */
const MIN_NODE_PREFIX = { 4: 8, 6: 16 } as const;
/** More nodes than anybody has; keeps counts in the range of exact numbers. */
const MAX_NODES = 2 ** 31;

/**
 * Checks the cluster's pools. Several pools of one family count as one, in the order given: the nodes for which the first
 * has no subnet left get theirs from the second, so that a pool added at the end moves nobody. Throws
 * {@link PoolConfigError}. `path` is where in the configuration the list is.
 */
export function parsePools(pools: readonly PoolConfig[], path = "network.pools"): Pool[] {
  const problems: ConfigProblem[] = [];
  const parsed = pools.map((pool, i): Pool | undefined => {
    const cidr = tryNetwork(pool.cidr, `${path}[${i}].cidr`, problems);
    if (!cidr) return undefined;
    const { nodePrefix } = pool;
    const prefixPath = `${path}[${i}].nodePrefix`;
    const [min, max] = [MIN_NODE_PREFIX[cidr.family], addressBits(cidr.family) - 1];
    if (!Number.isInteger(nodePrefix) || nodePrefix < min || nodePrefix > max) {
      const text = `${nodePrefix} is not between ${min} and ${max}, as IPv${cidr.family} needs`;
      problems.push({ path: prefixPath, message: text });
      return undefined;
    }
    if (nodePrefix < cidr.prefix) {
      const text = `pool ${formatCidr(cidr)} is too small for a /${nodePrefix} per node`;
      problems.push({ path: prefixPath, message: text });
      return undefined;
    }
    const count = subnetCount(cidr, nodePrefix);
    const nodes = count > MAX_NODES ? MAX_NODES : Number(count);
    return { cidr, nodePrefix, nodes, label: `${path}[${i}] (${formatCidr(cidr)}, a /${nodePrefix} per node)` };
  });
  if (pools.length === 0) problems.push({ path, message: "no pool is given" });
  refuseOverlaps(
    parsed.map((p) => p?.cidr),
    (i) => `${path}[${i}].cidr`,
    problems,
  );
  if (problems.length > 0) throw new PoolConfigError(problems);
  return parsed.filter((p) => p !== undefined);
}

/** Checks subnets that something else gave to this node, such as Node.spec.podCIDRs. Throws {@link PoolConfigError}. */
export function parsePodCIDRs(podCIDRs: readonly string[], path = "network.podCIDRs"): Cidr[] {
  const problems: ConfigProblem[] = [];
  const parsed = podCIDRs.map((text, i) => {
    const cidr = tryNetwork(text, `${path}[${i}]`, problems);
    if (!cidr || cidr.prefix < addressBits(cidr.family)) return cidr;
    problems.push({ path: `${path}[${i}]`, message: `${text} is one address; gateway and pods need at least two` });
    return undefined;
  });
  if (podCIDRs.length === 0) problems.push({ path, message: "no subnet is given" });
  refuseOverlaps(parsed, (i) => `${path}[${i}]`, problems);
  if (problems.length > 0) throw new PoolConfigError(problems);
  return parsed.filter((c) => c !== undefined);
}

/**
 * The subnets of node `nodeId`: one per family, IPv4 first. Node n gets number n of its pool, and the one for which n is the
 * count gets number 0: numbers are easy to read (node 7 has 10.244.7.0/24), and none is lost. Throws {@link PoolConfigError}
 * if a family has no subnet for the ID; see {@link nodeIdLimit}.
 */
export function podSubnets(pools: readonly Pool[], nodeId: number): Cidr[] {
  const { maxId, limitedBy } = nodeIdLimit(pools);
  if (!Number.isInteger(nodeId) || nodeId < 1 || nodeId > maxId) {
    const message = `no pod subnet for node ID ${nodeId}: ${limitedBy} allows IDs 1 to ${maxId}`;
    throw new PoolConfigError([{ path: limitedBy.split(" ")[0] ?? limitedBy, message }]);
  }
  const subnets: Cidr[] = [];
  for (const family of [4, 6] as const) {
    let local = nodeId;
    for (const pool of pools.filter((p) => p.cidr.family === family)) {
      if (local <= pool.nodes) {
        subnets.push(
          subnetAt(pool.cidr, pool.nodePrefix, Number(subnetCount(pool.cidr, pool.nodePrefix)) === local ? 0 : local),
        );
        break;
      }
      local -= pool.nodes;
    }
  }
  return subnets;
}

/** How many nodes the pools have room for: as many as the family with the fewest subnets. */
export function nodeIdLimit(pools: readonly Pool[]): NodeIdLimit {
  let limit: NodeIdLimit | undefined;
  for (const family of [4, 6] as const) {
    const own = pools.filter((p) => p.cidr.family === family);
    if (own.length === 0) continue;
    const maxId = own.reduce((sum, p) => sum + p.nodes, 0);
    if (!limit || maxId < limit.maxId) limit = { maxId, limitedBy: own.map((p) => p.label).join(" + ") };
  }
  if (!limit) throw new PoolConfigError([{ path: "network.pools", message: "no pool is given" }]);
  const suffixed = pools.find((p) => hasNodeSuffix({ family: p.cidr.family, prefix: p.nodePrefix }));
  if (!suffixed || limit.maxId <= MAX_SUFFIX_NODE_ID) return limit;
  return { maxId: MAX_SUFFIX_NODE_ID, limitedBy: `${suffixed.label}, 16 bits of node ID in IPv6 addresses` };
}

/**
 * Whether two pods of the cluster could have IPv6 addresses that agree in their last 32 bits, and in which pools, in words;
 * empty if not. With subnets of /96 or wider IPAM prevents it. Narrower ones number their pods by position, which is unique
 * within a pool of /96 or smaller and, between pools, only if their positions differ.
 */
export function suffixClashes(pools: readonly Pool[]): string[] {
  const clashes: string[] = [];
  const v6 = pools.filter((p) => p.cidr.family === 6);
  for (const [i, a] of v6.entries()) {
    const [aFirst, aLast] = suffixRange(a);
    if (!isWide(a) && a.nodes > 2 ** (a.nodePrefix - 96)) {
      clashes.push(`${a.label}: more nodes than the last 32 bits can tell apart`);
    }
    for (const b of v6.slice(i + 1)) {
      if (isWide(a) && isWide(b)) continue; // both are made of node ID and slot
      const [bFirst, bLast] = suffixRange(b);
      if (aFirst <= bLast && bFirst <= aLast) clashes.push(`${a.label} and ${b.label}`);
    }
  }
  return clashes;
}

const isWide = (p: Pool): boolean => hasNodeSuffix({ family: p.cidr.family, prefix: p.nodePrefix });

/** The last 32 bits that pods of the pool can have. */
function suffixRange(p: Pool): readonly [number, number] {
  if (isWide(p)) return [2 ** 16, 2 ** 32 - 1]; // node ID 1, slot 0, and up
  return p.cidr.prefix < 96 ? [0, 2 ** 32 - 1] : [low32(p.cidr.address), low32(lastAddress(p.cidr))];
}

function tryNetwork(text: string, path: string, problems: ConfigProblem[]): Cidr | undefined {
  try {
    const cidr = parseNetwork(text);
    if (!isSpecialIp(cidr.address)) return cidr;
    problems.push({ path, message: `${text} is a special range (loopback, link-local, multicast or unspecified)` });
  } catch (e) {
    problems.push({ path, message: e instanceof Error ? e.message : String(e) });
  }
  return undefined;
}

function refuseOverlaps(
  cidrs: readonly (Cidr | undefined)[],
  path: (i: number) => string,
  problems: ConfigProblem[],
): void {
  for (const [i, a] of cidrs.entries()) {
    for (const [j, b] of cidrs.entries()) {
      if (j >= i || !a || !b || !cidrsOverlap(a, b)) continue;
      const same = formatCidr(a) === formatCidr(b);
      const verb = same ? "is given twice, first as" : "overlaps";
      problems.push({
        path: path(i),
        message: `${formatCidr(a)} ${verb} ${path(j)}${same ? "" : ` (${formatCidr(b)})`}`,
      });
    }
  }
}
