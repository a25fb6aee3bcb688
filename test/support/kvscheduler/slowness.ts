import type { MockOptions } from "./mock-southbound.ts";

/** Numbers in [0, 1) that are the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

/** A southbound whose answers come in an order of their own. */
export function slowness(seed: number): NonNullable<MockOptions["pause"]> {
  const next = randomFrom(seed);
  return async () => {
    for (let turns = Math.floor(next() * 6); turns > 0; turns--) await Promise.resolve();
    if (next() < 0.2) await new Promise<void>((resolve) => setImmediate(resolve));
  };
}
