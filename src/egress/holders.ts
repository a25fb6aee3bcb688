import type { IpAddress } from "../base/ip/address.ts";
import { type EgressClaim, MAX_CLAIMS } from "../models/node.ts";

/** Who has an egress address, and who else says so. */
export interface Holder {
  readonly node: string;
  /** Sorted. */
  readonly others: readonly string[];
}

/**
 * Of the nodes that say that they have an address, the one that has got it last: so an address may move while the node that had
 * it is down. Of two at the same time the first by name; every node comes to the same end.
 */
export function holderOf(ip: IpAddress, claims: ReadonlyMap<string, readonly EgressClaim[]>): Holder | undefined {
  const found = [...claims].flatMap(([node, all]) => {
    const claim = all.find((c) => c.ip === ip);
    return claim ? [{ node, since: claim.since }] : [];
  });
  found.sort((a, b) => b.since - a.since || (a.node < b.node ? -1 : 1));
  const [first, ...rest] = found;
  return first && { node: first.node, others: rest.map(({ node }) => node).sort() };
}

/** What this node says: of the addresses that are asked for those that it has, since when it has them. Sorted. */
export function claimsOf(
  wanted: Iterable<IpAddress>,
  own: readonly IpAddress[],
  before: readonly EgressClaim[],
  now: number,
): EgressClaim[] {
  const has = new Set(own);
  return [...new Set(wanted)]
    .filter((ip) => has.has(ip))
    .sort()
    .slice(0, MAX_CLAIMS)
    .map((ip) => before.find((claim) => claim.ip === ip) ?? { ip, since: now });
}
