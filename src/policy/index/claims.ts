import type { IpAddress } from "../../base/ip/address.ts";

/** Somebody who says to have certain addresses. */
export interface Claim<Owner> {
  /** Undefined: the address is taken, but it is not known by which pod. */
  readonly owner: Owner | undefined;
  /** The highest has the address; see {@link ClaimRank}. */
  readonly rank: number;
  /** Among equals the one created last: it was given the address after the other had left it. */
  readonly created: number;
  /** Decides between those created in the same second, so that every node decides alike. */
  readonly tie: string;
  readonly ips: readonly IpAddress[];
}

export const ClaimRank = {
  /** Deletion has begun: its network may be gone while the object remains. */
  TERMINATING: 0,
  LIVE: 1,
  /** Wired on this node: known for sure. */
  LOCAL: 2,
} as const;

/**
 * Whose an address is. Pod objects can name an address that another pod already has; an address counts for one pod only,
 * or what is allowed to the former pod would be allowed to the present one.
 */
export class Claims<Owner> {
  readonly #byIp = new Map<IpAddress, readonly Claim<Owner>[]>();
  /** Addresses touched since {@link settle}, with their owners before. */
  readonly #before = new Map<IpAddress, Owner | undefined>();

  owner(ip: IpAddress): Owner | undefined {
    return this.#byIp.get(ip)?.[0]?.owner;
  }

  replace(old: Claim<Owner> | undefined, now: Claim<Owner> | undefined): void {
    for (const ip of old?.ips ?? []) {
      this.#touch(ip);
      const rest = (this.#byIp.get(ip) ?? []).filter((c) => c !== old);
      if (rest.length === 0) this.#byIp.delete(ip);
      else this.#byIp.set(ip, rest);
    }
    for (const ip of now?.ips ?? []) {
      this.#touch(ip);
      const others = this.#byIp.get(ip);
      if (now) this.#byIp.set(ip, others ? [...others, now].sort(firstWins) : [now]);
    }
  }

  /** Those who gained or lost an address since the last call. */
  settle(): Set<Owner> {
    const changed = new Set<Owner>();
    for (const [ip, before] of this.#before) {
      const now = this.owner(ip);
      if (now === before) continue;
      if (before !== undefined) changed.add(before);
      if (now !== undefined) changed.add(now);
    }
    this.#before.clear();
    return changed;
  }

  #touch(ip: IpAddress): void {
    if (!this.#before.has(ip)) this.#before.set(ip, this.owner(ip));
  }
}

const firstWins = (a: Claim<unknown>, b: Claim<unknown>): number =>
  b.rank - a.rank || b.created - a.created || (a.tie > b.tie ? -1 : a.tie < b.tie ? 1 : 0);
