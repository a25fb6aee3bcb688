import { StoreError } from "../api/store.ts";

/**
 * The order of keys' UTF-8 bytes, which is that of etcd: by code points. JavaScript's own `<` compares UTF-16 units and
 * puts U+10000 before U+FFFF.
 */
export function compareKeys(a: string, b: string): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Moves the surrogates (0xD800 to 0xDFFF), which stand for U+10000 and above, behind all other units. */
const rank = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800);

/** Index of the first of `keys`, sorted by {@link compareKeys}, that is not before `key`. */
export function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareKeys(keys[middle] as string, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @throws StoreError `INVALID` for a key that cannot be stored. */
export function checkKey(key: string): void {
  if (key === "") throw new StoreError("INVALID", "a store key must not be empty");
  if (!key.isWellFormed()) {
    throw new StoreError("INVALID", `store key ${JSON.stringify(key.slice(0, 200))} is not valid Unicode`);
  }
}
