import { type Clock, type Duration, seconds } from "../base/clock/clock.ts";
import { addressBits, compareIp, familyOf, type IpAddress, type IpFamily } from "../base/ip/address.ts";
import { type Cidr, cidrsOverlap, formatCidr, networkOf } from "../base/ip/cidr.ts";
import { type AllocatedIp, type Allocation, IpamError, type IpamWrite, type PoolUsage } from "./api.ts";
import { Pool } from "./pool.ts";
import { cursorKey, readRecords, releasedKey } from "./records.ts";

export interface IpamOptions {
  /** For messages. */
  readonly nodeName: string;
  /** Unique in the cluster; part of IPv6 addresses. */
  readonly nodeId: number;
  /** This node's pod subnets, in any order, one or several per family; tried in this order. */
  readonly subnets: readonly Cidr[];
  readonly clock: Pick<Clock, "wall">;
  /** How long a released address rests while there are others; 60 s if absent. */
  readonly quarantine?: Duration;
  /** What earlier {@link Ipam.takeChanges} said, from the local database. */
  readonly state?: Iterable<readonly [key: string, value: string]>;
}

/** An address on its way to an owner. `place` is absent for adopted addresses that lie in none of today's pools. */
interface Grant {
  readonly ip: AllocatedIp;
  readonly place: { readonly pool: Pool; readonly slot: number } | undefined;
}

interface Held {
  readonly allocation: Allocation;
  readonly grants: readonly Grant[];
}

/**
 * Gives the node's pods their addresses. Synchronous and without I/O: it decides, the caller remembers. After a restart the
 * caller passes `state`, then {@link adopt}s what each living sandbox holds, then allocates.
 */
export class Ipam {
  readonly #node: string;
  readonly #clock: Pick<Clock, "wall">;
  readonly #quarantine: number;
  readonly #pools: readonly Pool[];
  readonly #byOwner = new Map<string, Held>();
  readonly #byAddress = new Map<IpAddress, string>();
  readonly #changes = new Map<string, string | undefined>();
  /** Records of `state` that were dropped because they can't be read, in words. */
  readonly problems: readonly string[];

  /** Throws {@link IpamError} BAD_SUBNET for subnets that can't be served. */
  constructor(options: IpamOptions) {
    this.#node = options.nodeName;
    this.#clock = options.clock;
    this.#quarantine = options.quarantine ?? seconds(60);
    const subnets = options.subnets.map(networkOf);
    this.#refuseOverlaps(subnets);
    this.#pools = Pool.fromSubnets(subnets, options.nodeId, options.nodeName);
    this.problems = this.#restore(options.state ?? []);
  }

  /**
   * One address per family for `owner`, all or nothing. An owner that has addresses gets the same again. `requested` fixes
   * the address of its family; one that is in quarantine can be asked for. Throws {@link IpamError}.
   */
  allocate(owner: string, options: { readonly requested?: readonly IpAddress[] } = {}): Allocation {
    const requested = options.requested ?? [];
    const held = this.get(owner);
    if (held) {
      const other = requested.find((ip) => !held.ips.some((h) => h.address === ip));
      if (other === undefined) return held;
      const has = held.ips.map((h) => h.address).join(", ");
      throw new IpamError("CONFLICT", `${owner} already has ${has} and can't get ${other} besides`);
    }
    const byFamily = this.#requestsByFamily(requested);
    const grants: Grant[] = [];
    for (const family of [4, 6] as const) {
      if (!this.#pools.some((p) => p.family === family)) continue;
      const wanted = byFamily.get(family);
      grants.push(wanted === undefined ? this.#next(family) : this.#asked(wanted));
    }
    // Nothing has been taken so far, so that a family without addresses costs the other one none.
    for (const grant of grants) {
      this.#take(grant);
      if (grant.place && !byFamily.has(grant.ip.family)) this.#advance(grant.place.pool, grant.place.slot);
    }
    return this.#hold(owner, grants);
  }

  /** Returns what the owner held; nothing if it is unknown. */
  release(owner: string): readonly AllocatedIp[] {
    const held = this.#byOwner.get(owner);
    if (!held) return [];
    this.#byOwner.delete(owner);
    const now = this.#now();
    for (const { ip, place } of held.grants) {
      this.#byAddress.delete(ip.address);
      if (!place) continue;
      place.pool.used--;
      place.pool.space.release(place.slot, ip.address, now);
      this.#changes.set(releasedKey(ip.address), String(now));
    }
    return held.allocation.ips;
  }

  /**
   * After a restart: `owner` holds what an earlier {@link allocate} gave it. Addresses outside today's subnets stay the
   * owner's and are returned, for status. Throws {@link IpamError} IN_USE or CONFLICT, changing nothing.
   */
  adopt(owner: string, ips: readonly IpAddress[]): readonly IpAddress[] {
    const held = this.get(owner);
    if (held) {
      const same = held.ips.length === ips.length && held.ips.every((h) => ips.includes(h.address));
      if (!same) throw new IpamError("CONFLICT", `${owner} already has ${held.ips.map((h) => h.address).join(", ")}`);
      return [];
    }
    for (const address of ips) {
      const other = this.#byAddress.get(address);
      if (other !== undefined) throw new IpamError("IN_USE", `${address} of ${owner} is also held by ${other}`);
    }
    const grants: Grant[] = [];
    for (const address of [...ips].sort(compareIp)) {
      const place = this.#placeOf(address);
      const adopted = place?.pool.space.isFree(place.slot)
        ? grant(place.pool, place.slot, address)
        : this.#foreign(address);
      this.#take(adopted);
      grants.push(adopted);
    }
    this.#hold(owner, grants);
    return grants.filter((g) => !g.place).map((g) => g.ip.address);
  }

  /** Releases whatever belongs to none of `validOwners`; returns it. For leaks: a sandbox that is gone without a DEL. */
  reconcile(validOwners: Iterable<string>): Allocation[] {
    const valid = new Set(validOwners);
    const leaked = [...this.allocations()].filter((a) => !valid.has(a.owner));
    for (const { owner } of leaked) this.release(owner);
    return leaked;
  }

  get(owner: string): Allocation | undefined {
    return this.#byOwner.get(owner)?.allocation;
  }

  *allocations(): Generator<Allocation> {
    for (const { allocation } of this.#byOwner.values()) yield allocation;
  }

  /** Whether the address is one that an owner holds now. */
  owns(ip: IpAddress): boolean {
    return this.#byAddress.has(ip);
  }

  ownerOf(ip: IpAddress): string | undefined {
    return this.#byAddress.get(ip);
  }

  usage(): PoolUsage[] {
    this.#expire();
    return this.#pools.map(({ name, family, gateway, space, used }) => {
      // Where pools share a space, what the others use is not this one's to give.
      const free = space.capacity - space.taken;
      return { pool: name, family, gateway, capacity: used + free, used, free, quarantined: space.quarantined };
    });
  }

  /** What has to be written to the local database since the last call. Commit it with the allocation that caused it. */
  takeChanges(): IpamWrite[] {
    const changes = [...this.#changes];
    this.#changes.clear();
    return changes;
  }

  /** All records as they should be in the local database. */
  state(): [key: string, value: string][] {
    const records: [string, string][] = [];
    for (const pool of this.#pools) records.push([cursorKey(pool.name), String(pool.space.cursor)]);
    for (const space of new Set(this.#pools.map((p) => p.space))) {
      for (const { ip, at } of space.releases()) records.push([releasedKey(ip), String(at)]);
    }
    return records;
  }

  #refuseOverlaps(subnets: readonly Cidr[]): void {
    if (subnets.length === 0) throw new IpamError("BAD_SUBNET", `node ${this.#node} has no pod subnet`);
    for (const [i, a] of subnets.entries()) {
      const b = subnets.slice(i + 1).find((other) => cidrsOverlap(a, other));
      if (!b) continue;
      const names = [formatCidr(a), formatCidr(b)];
      throw new IpamError("BAD_SUBNET", `pod subnets ${names.join(" and ")} (node ${this.#node}) overlap`, names);
    }
  }

  #requestsByFamily(requested: readonly IpAddress[]): ReadonlyMap<IpFamily, IpAddress> {
    const byFamily = new Map<IpFamily, IpAddress>();
    for (const ip of requested) {
      const family = familyOf(ip);
      const first = byFamily.get(family);
      if (first !== undefined && first !== ip) {
        throw new IpamError("BAD_REQUEST", `a pod has one IPv${family} address; ${first} and ${ip} were asked for`);
      }
      if (!this.#pools.some((p) => p.contains(ip))) {
        throw new IpamError("NOT_IN_POOL", `${ip} is in none of this node's pod subnets: ${this.#names(this.#pools)}`);
      }
      byFamily.set(family, ip);
    }
    return byFamily;
  }

  #asked(ip: IpAddress): Grant {
    const pool = this.#pools.find((p) => p.contains(ip)) as Pool; // #requestsByFamily has seen to it
    const where = this.#names([pool]);
    const owner = this.#byAddress.get(ip);
    if (owner !== undefined) throw new IpamError("IN_USE", `${ip} of ${where} is in use by ${owner}`, [pool.name]);
    const placed = pool.place(ip);
    if ("code" in placed) {
      throw new IpamError(placed.code, `${ip} of ${where} can't be given to a pod: ${placed.reason}`, [pool.name]);
    }
    if (!pool.space.isFree(placed.slot)) {
      throw new IpamError("IN_USE", `${ip} of ${where}: its last 32 bits are in use in another subnet`, [pool.name]);
    }
    return grant(pool, placed.slot, ip);
  }

  #next(family: IpFamily): Grant {
    this.#expire();
    const pools = this.#pools.filter((p) => p.family === family);
    for (const pool of pools) {
      const slot = pool.space.nextFresh();
      if (slot >= 0) return grant(pool, slot, pool.address(slot));
    }
    // Rather an address that has rested too short than none: the one that has rested for longest.
    let best: { pool: Pool; slot: number; at: number } | undefined;
    for (const pool of pools) {
      const slot = pool.space.longestReleased();
      const at = pool.space.releasedAt(slot);
      if (at !== undefined && (!best || at < best.at)) best = { pool, slot, at };
    }
    if (best) return grant(best.pool, best.slot, best.pool.address(best.slot));
    const total = pools.reduce((sum, p) => sum + p.used, 0);
    throw new IpamError(
      "EXHAUSTED",
      `${this.#names(pools)}: all ${total} addresses are in use; delete pods of this node or give nodes larger subnets`,
      pools.map((p) => p.name),
    );
  }

  #placeOf(ip: IpAddress): { pool: Pool; slot: number } | undefined {
    const pool = this.#pools.find((p) => p.contains(ip));
    const placed = pool?.place(ip);
    return pool && placed && "slot" in placed ? { pool, slot: placed.slot } : undefined;
  }

  #take({ place }: Grant): void {
    if (!place) return;
    place.pool.used++;
    const ended = place.pool.space.take(place.slot);
    if (ended !== undefined) this.#changes.set(releasedKey(ended), undefined);
  }

  #hold(owner: string, grants: readonly Grant[]): Allocation {
    const allocation: Allocation = { owner, ips: grants.map((g) => g.ip) };
    this.#byOwner.set(owner, { allocation, grants });
    for (const { address } of allocation.ips) this.#byAddress.set(address, owner);
    return allocation;
  }

  /** An address that no pool gives out today. Its subnet is forgotten; the gateway is the one that such pods are given now. */
  #foreign(address: IpAddress): Grant {
    const family = familyOf(address);
    const gateway = this.#pools.find((p) => p.family === family)?.gateway ?? address;
    return { ip: { address, prefix: addressBits(family), gateway, family }, place: undefined };
  }

  #advance(pool: Pool, slot: number): void {
    pool.space.cursor = (slot + 1) % pool.space.size;
    for (const p of this.#pools)
      if (p.space === pool.space) this.#changes.set(cursorKey(p.name), String(p.space.cursor));
  }

  #expire(): void {
    const until = this.#now() - this.#quarantine;
    for (const pool of this.#pools) {
      for (const ip of pool.space.expire(until)) this.#changes.set(releasedKey(ip), undefined);
    }
  }

  #restore(state: Iterable<readonly [string, string]>): string[] {
    const { cursors, releases, bad } = readRecords(state);
    for (const { key } of bad) this.#changes.set(key, undefined);
    for (const { key, pool: name, cursor } of cursors) {
      const pool = this.#pools.find((p) => p.name === name);
      if (pool && cursor < pool.space.size) pool.space.cursor = cursor;
      else this.#changes.set(key, undefined); // of a subnet that the node no longer has
    }
    const now = this.#now();
    for (const { key, ip, at } of releases) {
      const place = this.#placeOf(ip);
      // The clock may have been set back since: no quarantine ends later than it would if it began now.
      if (!place?.pool.space.restore(place.slot, ip, Math.min(at, now))) this.#changes.set(key, undefined);
    }
    return bad.map((b) => b.problem);
  }

  /** Whole milliseconds, as the records have them. */
  #now(): number {
    return Math.floor(this.#clock.wall());
  }

  #names(pools: readonly Pool[]): string {
    const names = pools.map((p) => p.name).join(", ");
    return `${pools.length === 1 ? "pool" : "pools"} ${names} (node ${this.#node})`;
  }
}

function grant(pool: Pool, slot: number, address: IpAddress): Grant {
  const ip = { address, prefix: pool.cidr.prefix, gateway: pool.gateway, family: pool.family };
  return { ip, place: { pool, slot } };
}
