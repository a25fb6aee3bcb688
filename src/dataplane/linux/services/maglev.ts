import { createHash } from "node:crypto";

/** Primes (Maglev, section 3.4): a hundred places for each endpoint keep its neighbours' changes from it, but for one in a hundred. */
const SIZES = [1009, 5003] as const;
/** Of endpoints, up to which the smaller table does. */
const FEW = 25;

/**
 * The lookup table of Maglev (Eisenbud et al., NSDI 2016): to each place the number of an endpoint. The same on every node, and
 * when one endpoint comes or goes, the others keep most of their places.
 */
export function maglevTable(names: readonly string[]): readonly number[] {
  const size = names.length <= FEW ? SIZES[0] : SIZES[1];
  const wishes = names.map((name) => wishesOf(name, size));
  const table = new Map<number, number>();
  while (table.size < size && wishes.length > 0) {
    for (const [i, wish] of wishes.entries()) {
      let place = wish.next().value;
      while (table.has(place)) place = wish.next().value;
      table.set(place, i);
      if (table.size === size) break;
    }
  }
  return Array.from({ length: size }, (_, place) => table.get(place) ?? 0);
}

/** All places in an order of the endpoint's own: a prime has no part in common with the step. */
function* wishesOf(name: string, size: number): Generator<number, never> {
  const hash = createHash("sha256").update(name).digest();
  const step = (hash.readUInt32LE(4) % (size - 1)) + 1;
  for (let place = hash.readUInt32LE(0) % size; ; place = (place + step) % size) yield place;
}
