import type { Steps } from "./turn.ts";

/** Up to this many are sorted in one step. */
const RUN = 256;

/** Sorts in steps: a hundred thousand keys take longer than the event loop may be held. Stable; returns the sorted list,
 * which may be the given one. */
export function* sortInSteps<T>(list: T[], compare: (a: T, b: T) => number): Steps<T[]> {
  if (list.length <= RUN) return list.sort(compare);
  let sorted = true;
  for (let i = 1; i < list.length && sorted; i++) {
    if (i % RUN === 0) yield;
    sorted = compare(list[i - 1]!, list[i]!) <= 0;
  }
  if (sorted) return list;
  let from: T[] = [];
  for (let i = 0; i < list.length; i += RUN) {
    for (const item of list.slice(i, i + RUN).sort(compare)) from.push(item);
    yield;
  }
  for (let width = RUN; width < list.length; width *= 2) {
    const to: T[] = [];
    for (let left = 0; left < from.length; left += 2 * width) {
      const middle = Math.min(left + width, from.length);
      const end = Math.min(left + 2 * width, from.length);
      for (let a = left, b = middle; a < middle || b < end; ) {
        if (to.length % RUN === 0) yield;
        to.push(b >= end || (a < middle && compare(from[a]!, from[b]!) <= 0) ? from[a++]! : from[b++]!);
      }
    }
    from = to;
  }
  return from;
}
