import { compareIp, type IpAddress } from "../../base/ip/address.ts";
import type { Change, ClusterIp } from "../api.ts";

interface Users {
  us: number;
  other: number;
}

/** Which cluster IPs are assigned: by whom does not matter, but who serves them does. */
export class AssignedIps {
  readonly #users = new Map<IpAddress, Users>();
  readonly #before = new Map<IpAddress, ClusterIp | undefined>();

  get(address: IpAddress): ClusterIp | undefined {
    const users = this.#users.get(address);
    return users && { address, servedBy: users.us > 0 ? "us" : "other" };
  }

  replace(old: readonly ClusterIp[], now: readonly ClusterIp[]): void {
    for (const ip of old) this.#count(ip, -1);
    for (const ip of now) this.#count(ip, 1);
  }

  /** Sorted. */
  takeChanges(): Change<ClusterIp>[] {
    const changes = [...this.#before]
      .sort(([a], [b]) => compareIp(a, b))
      .map(([address, old]) => ({ old, new: this.get(address) }))
      .filter((c) => c.old?.servedBy !== c.new?.servedBy);
    this.#before.clear();
    return changes;
  }

  /** Sorted. */
  rows(): ClusterIp[] {
    return [...this.#users.keys()].sort(compareIp).flatMap((address) => this.get(address) ?? []);
  }

  #count({ address, servedBy }: ClusterIp, by: 1 | -1): void {
    if (!this.#before.has(address)) this.#before.set(address, this.get(address));
    const users = this.#users.get(address) ?? { us: 0, other: 0 };
    users[servedBy] += by;
    if (users.us + users.other === 0) this.#users.delete(address);
    else this.#users.set(address, users);
  }
}
