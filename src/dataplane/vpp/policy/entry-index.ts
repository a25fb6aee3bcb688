import { addressBits, type IpFamily } from "../../../base/ip/address.ts";
import { type Box, type Entry, intersection } from "./boxes.ts";
import type { Prefix } from "./prefix.ts";

/** Finds those of many entries that have something in common with a box, without looking at all of them. */
export class EntryIndex {
  readonly #entries: readonly Entry[];
  /** Places of entries by their networks. */
  readonly #exact = new Map<string, number[]>();
  readonly #lengths: Readonly<Record<IpFamily, Set<number>>> = { 4: new Set(), 6: new Set() };
  /** By a length: places of entries with longer networks, by the network of that length they are in. */
  readonly #inside = new Map<number, Map<string, number[]>>();

  constructor(entries: readonly Entry[]) {
    this.#entries = entries;
    for (const [i, { box }] of entries.entries()) {
      this.#lengths[box.prefix.family].add(box.prefix.length);
      push(this.#exact, networkKey(box.prefix, box.prefix.length), i);
    }
  }

  /** The entries, in their order, as far as they are in the box. */
  within(region: Box): Entry[] {
    const { prefix } = region;
    const places: number[] = [];
    for (const length of this.#lengths[prefix.family]) {
      if (length <= prefix.length) places.push(...(this.#exact.get(networkKey(prefix, length)) ?? []));
    }
    places.push(...(this.#insideOf(prefix.length).get(networkKey(prefix, prefix.length)) ?? []));
    return places
      .toSorted((a, b) => a - b)
      .flatMap((i) => {
        const entry = this.#entries[i];
        const box = entry && intersection(entry.box, region);
        return box ? [{ verdict: entry.verdict, box }] : [];
      });
  }

  #insideOf(length: number): ReadonlyMap<string, number[]> {
    let known = this.#inside.get(length);
    if (!known) {
      this.#inside.set(length, (known = new Map()));
      for (const [i, { box }] of this.#entries.entries()) {
        if (box.prefix.length > length) push(known, networkKey(box.prefix, length), i);
      }
    }
    return known;
  }
}

/** Of the network of that length that the prefix, at least as long, is in. */
function networkKey({ family, first }: Prefix, length: number): string {
  return `${family} ${length} ${(first >> BigInt(addressBits(family) - length)).toString(36)}`;
}

function push(map: Map<string, number[]>, key: string, place: number): void {
  const places = map.get(key);
  if (places) places.push(place);
  else map.set(key, [place]);
}
