import { FIELDS } from "./fields.ts";
import { successor } from "./sets.ts";

/** Numbers as the kernel has them, big-endian, both included. */
export interface Range {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/**
 * `80`, `80-90`, `10.1.0.0/16`, `{ 80, 443-500 }` as ranges in order, of which none touch each other; undefined for text that is
 * none of them, and for ranges that overlap.
 */
export function parseRanges(text: string, type: string): Range[] | undefined {
  const parts = text.startsWith("{") ? text.slice(1, -1).split(",") : [text];
  const found = parts.map((part) => parseRange(part.trim(), type));
  const sorted = found.filter((range) => range !== undefined).sort((a, b) => Buffer.compare(a.first, b.first));
  if (sorted.length < found.length) return undefined;
  const ranges: Range[] = [];
  for (const range of sorted) {
    const before = ranges.at(-1);
    if (before && Buffer.compare(range.first, before.last) <= 0) return undefined;
    const next = before && successor(before.last);
    if (before && next && Buffer.compare(next, range.first) === 0) {
      ranges[ranges.length - 1] = { first: before.first, last: range.last };
    } else ranges.push(range);
  }
  return ranges;
}

function parseRange(text: string, type: string): Range | undefined {
  const encode = FIELDS[type]?.encode;
  const prefix = /^(.+)\/(\d+)$/.exec(text);
  if (prefix) {
    const first = encode?.(prefix[1] ?? "");
    return first && prefixRange(first, Number(prefix[2]));
  }
  const [from = "", to = from] = text.split("-");
  const [first, last] = [encode?.(from), encode?.(to)];
  return first && last && Buffer.compare(first, last) <= 0 ? { first, last } : undefined;
}

/** Undefined where bits are set behind the prefix, and for a length that is none. */
function prefixRange(first: Uint8Array, length: number): Range | undefined {
  if (length > first.length * 8) return undefined;
  const hosts = first.map((_, i) => 0xff >> Math.min(Math.max(length - i * 8, 0), 8));
  if (first.some((byte, i) => (byte & (hosts[i] ?? 0)) !== 0)) return undefined;
  return { first, last: first.map((byte, i) => byte | (hosts[i] ?? 0)) };
}
