import { familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { type Cidr, cidrsOverlap, formatCidr, networkOf } from "../base/ip/cidr.ts";
import { type AllocatedIp, IpamError } from "./api.ts";
import { Pool } from "./pool.ts";

export interface Place {
  readonly pool: Pool;
  readonly slot: number;
}

/** An address on its way to an owner. `place` is absent for adopted addresses that lie in none of today's pools. */
export interface Grant {
  readonly ip: AllocatedIp;
  readonly place: Place | undefined;
}

/** An address asked for, and the pool that it lies in. */
export interface Request {
  readonly ip: IpAddress;
  readonly pool: Pool;
}

/** The node's pools together: finds places in them, changes nothing. Every refusal is an {@link IpamError}. */
export class Pools implements Iterable<Pool> {
  readonly #pools: readonly Pool[];
  readonly #node: string;

  constructor(given: readonly Cidr[], nodeId: number, node: string) {
    const subnets = given.map(networkOf);
    refuseOverlaps(subnets, node);
    this.#pools = Pool.fromSubnets(subnets, nodeId, node);
    this.#node = node;
  }

  [Symbol.iterator](): Iterator<Pool> {
    return this.#pools[Symbol.iterator]();
  }

  ofFamily(family: IpFamily): readonly Pool[] {
    return this.#pools.filter((p) => p.family === family);
  }

  byName(name: string): Pool | undefined {
    return this.#pools.find((p) => p.name === name);
  }

  placeOf(ip: IpAddress): Place | undefined {
    const pool = this.#pools.find((p) => p.contains(ip));
    const placed = pool?.place(ip);
    return pool && placed && "slot" in placed ? { pool, slot: placed.slot } : undefined;
  }

  requestsByFamily(requested: readonly IpAddress[]): ReadonlyMap<IpFamily, Request> {
    const byFamily = new Map<IpFamily, Request>();
    for (const ip of requested) {
      const family = familyOf(ip);
      const first = byFamily.get(family)?.ip ?? ip;
      if (first !== ip) {
        throw new IpamError("BAD_REQUEST", `a pod has one IPv${family} address; ${first} and ${ip} were asked for`);
      }
      const pool = this.#pools.find((p) => p.contains(ip));
      if (!pool) {
        throw new IpamError("NOT_IN_POOL", `${ip} is in none of this node's pod subnets: ${this.names(this.#pools)}`);
      }
      byFamily.set(family, { ip, pool });
    }
    return byFamily;
  }

  /** The address that was asked for, unless it is `owner`'s already. */
  asked({ ip, pool }: Request, owner: string | undefined): Grant {
    const where = this.names([pool]);
    if (owner !== undefined) throw new IpamError("IN_USE", `${ip} of ${where} is in use by ${owner}`, [pool.name]);
    const placed = pool.place(ip);
    if ("code" in placed) {
      throw new IpamError(placed.code, `${ip} of ${where} can't be given to a pod: ${placed.reason}`, [pool.name]);
    }
    if (!pool.space.isFree(placed.slot)) {
      throw new IpamError("IN_USE", `${ip} of ${where}: its last 32 bits are in use in another subnet`, [pool.name]);
    }
    return grantOf({ pool, slot: placed.slot }, ip);
  }

  /** The address whose turn it is. Quarantines that are over must have been ended. */
  next(family: IpFamily): Grant {
    const pools = this.ofFamily(family);
    for (const pool of pools) {
      const slot = pool.space.nextFresh();
      if (slot >= 0) return grantOf({ pool, slot }, pool.address(slot));
    }
    // Rather an address that has rested too short than none: the one that has rested for longest.
    let best: { pool: Pool; slot: number; at: number } | undefined;
    for (const pool of pools) {
      const slot = pool.space.longestReleased();
      const at = pool.space.releasedAt(slot);
      if (at !== undefined && (!best || at < best.at)) best = { pool, slot, at };
    }
    if (best) return grantOf(best, best.pool.address(best.slot));
    const total = pools.reduce((sum, p) => sum + p.used, 0);
    throw new IpamError(
      "EXHAUSTED",
      `${this.names(pools)}: all ${total} addresses are in use; delete pods of this node or give nodes larger subnets`,
      pools.map((p) => p.name),
    );
  }

  /** `pool 10.1.2.0/24 (node n1)` */
  names(pools: readonly Pool[]): string {
    return `${pools.length === 1 ? "pool" : "pools"} ${pools.map((p) => p.name).join(", ")} (node ${this.#node})`;
  }
}

export function grantOf(place: Place, address: IpAddress): Grant {
  const { cidr, gateway, family } = place.pool;
  return { ip: { address, prefix: cidr.prefix, gateway, family }, place };
}

function refuseOverlaps(subnets: readonly Cidr[], node: string): void {
  if (subnets.length === 0) throw new IpamError("BAD_SUBNET", `node ${node} has no pod subnet`);
  for (const [i, a] of subnets.entries()) {
    const b = subnets.slice(i + 1).find((other) => cidrsOverlap(a, other));
    if (!b) continue;
    const names = [formatCidr(a), formatCidr(b)];
    throw new IpamError("BAD_SUBNET", `pod subnets ${names.join(" and ")} (node ${node}) overlap`, names);
  }
}
