import { type Clock, type Duration, seconds } from "../base/clock/clock.ts";
import { addressBits, compareIp, familyOf, type IpAddress } from "../base/ip/address.ts";
import type { Cidr } from "../base/ip/cidr.ts";
import { type AllocatedIp, type Allocation, IpamError, type IpamWrite, type PoolUsage } from "./api.ts";
import { type Grant, grantOf, type Place, Pools } from "./pools.ts";
import { cursorKey, readRecords, releasedKey } from "./records.ts";

export interface IpamOptions {
  /** For messages. */
  readonly nodeName: string;
  /** Unique in the cluster; part of IPv6 addresses. */
  readonly nodeId: number;
  /** This node's pod subnets, in any order, one or several per family; those of a family are filled in this order. */
  readonly subnets: readonly Cidr[];
  readonly clock: Pick<Clock, "wall">;
  /** How long a released address rests while there are others; 60 s if absent. */
  readonly quarantine?: Duration;
  /** What earlier {@link Ipam.takeChanges} or {@link Ipam.state} said, from the local database. */
  readonly state?: Iterable<readonly [key: string, value: string]>;
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
  readonly #clock: Pick<Clock, "wall">;
  readonly #quarantine: number;
  readonly #pools: Pools;
  readonly #byOwner = new Map<string, Held>();
  readonly #byAddress = new Map<IpAddress, string>();
  readonly #changes = new Map<string, string | undefined>();
  /** Records of `state` that were dropped because they can't be read, in words. */
  readonly problems: readonly string[];

  /** Throws {@link IpamError} BAD_SUBNET for subnets that can't be served. */
  constructor(options: IpamOptions) {
    this.#clock = options.clock;
    this.#quarantine = options.quarantine ?? seconds(60);
    this.#pools = new Pools(options.subnets, options.nodeId, options.nodeName);
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
      throw new IpamError("CONFLICT", `${owner} already has ${addresses(held)} and can't get ${other} besides`);
    }
    const wanted = this.#pools.requestsByFamily(requested);
    this.#expire();
    const grants: Grant[] = [];
    for (const family of [4, 6] as const) {
      if (this.#pools.ofFamily(family).length === 0) continue;
      const request = wanted.get(family);
      grants.push(request ? this.#pools.asked(request, this.ownerOf(request.ip)) : this.#pools.next(family));
    }
    // Nothing has been taken so far, so that a family without addresses costs the other one none.
    for (const { ip, place } of grants) {
      if (!place) continue;
      this.#take(place);
      if (!wanted.has(ip.family)) this.#advance(place);
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
   * After a restart: `owner` holds what an earlier {@link allocate} gave it. Addresses that today's subnets don't give out
   * stay the owner's and are returned, for status. Throws {@link IpamError} IN_USE or CONFLICT, changing nothing.
   */
  adopt(owner: string, ips: readonly IpAddress[]): readonly IpAddress[] {
    const held = this.get(owner);
    if (held) {
      const same = held.ips.length === ips.length && held.ips.every((h) => ips.includes(h.address));
      if (same) return [];
      throw new IpamError("CONFLICT", `${owner} already has ${addresses(held)}`);
    }
    for (const address of ips) {
      const other = this.ownerOf(address);
      if (other !== undefined) throw new IpamError("IN_USE", `${address} of ${owner} is also held by ${other}`);
    }
    const grants: Grant[] = [];
    for (const address of [...new Set(ips)].sort(compareIp)) {
      const place = this.#pools.placeOf(address);
      if (place?.pool.space.isFree(place.slot)) {
        this.#take(place);
        grants.push(grantOf(place, address));
      } else {
        grants.push(this.#foreign(address));
      }
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

  /** In the order of the subnets. */
  usage(): PoolUsage[] {
    this.#expire();
    return [...this.#pools].map(({ name, family, gateway, space, used }) => {
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
    const pools = [...this.#pools];
    const records = pools.map((p): [string, string] => [cursorKey(p.name), String(p.space.cursor)]);
    for (const space of new Set(pools.map((p) => p.space))) {
      for (const { ip, at } of space.releases()) records.push([releasedKey(ip), String(at)]);
    }
    return records;
  }

  #take({ pool, slot }: Place): void {
    pool.used++;
    const ended = pool.space.take(slot);
    if (ended !== undefined) this.#changes.set(releasedKey(ended), undefined);
  }

  #hold(owner: string, grants: readonly Grant[]): Allocation {
    const allocation: Allocation = { owner, ips: grants.map((g) => g.ip) };
    this.#byOwner.set(owner, { allocation, grants });
    for (const { address } of allocation.ips) this.#byAddress.set(address, owner);
    return allocation;
  }

  /** An address that no pool gives out today. Its subnet is forgotten; the gateway is the one that other pods have now. */
  #foreign(address: IpAddress): Grant {
    const family = familyOf(address);
    const gateway = this.#pools.ofFamily(family)[0]?.gateway ?? address;
    return { ip: { address, prefix: addressBits(family), gateway, family }, place: undefined };
  }

  #advance({ pool, slot }: Place): void {
    pool.space.cursor = (slot + 1) % pool.space.size;
    for (const p of this.#pools) {
      if (p.space === pool.space) this.#changes.set(cursorKey(p.name), String(p.space.cursor));
    }
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
      const pool = this.#pools.byName(name);
      if (pool && cursor < pool.space.size) pool.space.cursor = cursor;
      else this.#changes.set(key, undefined); // of a subnet that the node no longer has
    }
    const now = this.#now();
    for (const { key, ip, at } of releases) {
      const place = this.#pools.placeOf(ip);
      // The clock may have been set back since: no quarantine ends later than it would if it began now.
      if (!place?.pool.space.restore(place.slot, ip, Math.min(at, now))) this.#changes.set(key, undefined);
    }
    return bad.map((b) => b.problem);
  }

  /** Whole milliseconds, as the records have them. */
  #now(): number {
    return Math.floor(this.#clock.wall());
  }
}

const addresses = (a: Allocation): string => a.ips.map((ip) => ip.address).join(", ");
