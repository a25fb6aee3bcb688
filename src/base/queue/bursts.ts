/** Acts on all of them, on so many at a time. Resolves with what came of each, in their order. */
export async function inBursts<T, R>(size: number, items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const all: R[] = [];
  for (let at = 0; at < items.length; at += size) {
    for (const one of await Promise.all(items.slice(at, at + size).map(act))) all.push(one);
  }
  return all;
}
