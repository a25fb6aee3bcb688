import type { IpAddress } from "./address.ts";
import { type Cidr, truncate } from "./cidr.ts";

/**
 * Networks with a value each, for finding overlaps without comparing everything with everything: a look-up costs one hash
 * access per prefix length in use and family, plus a scan of the networks that are smaller than the one asked for. Takes
 * networks only, no bits behind the prefix set.
 */
export class CidrMap<V> {
  /** By family and prefix length, then by first address. */
  readonly #byLength = new Map<number, Map<IpAddress, { cidr: Cidr; value: V }>>();

  /** The entries that share an address with `c`, in no particular order. */
  *overlapping(c: Cidr): Generator<{ readonly cidr: Cidr; readonly value: V }> {
    for (const [slot, entries] of this.#byLength) {
      if (slot >> 8 !== c.family) continue;
      const length = slot & 0xff;
      if (length <= c.prefix) {
        const hit = entries.get(length === c.prefix ? c.address : truncate(c.address, length));
        if (hit) yield hit;
        continue;
      }
      for (const [first, entry] of entries) {
        if (truncate(first, c.prefix) === c.address) yield entry;
      }
    }
  }

  /** Adds or replaces. */
  set(c: Cidr, value: V): void {
    const slot = (c.family << 8) | c.prefix;
    let entries = this.#byLength.get(slot);
    if (!entries) this.#byLength.set(slot, (entries = new Map()));
    entries.set(c.address, { cidr: c, value });
  }
}
