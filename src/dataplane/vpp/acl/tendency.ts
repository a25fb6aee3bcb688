import { memo } from "../../../base/memo/memo.ts";
import type { AclRule } from "../../../models/vpp/acl.ts";

/** What becomes of what is let through: nothing more, some more and some less, nothing less. In the order to be applied. */
export const Tendency = { TIGHTER: 0, MIXED: 1, LOOSER: 2 } as const;
export type Tendency = (typeof Tendency)[keyof typeof Tendency];

/** What becomes of it when lists are replaced; each pair is a direction's. */
export function tendency(
  ...pairs: readonly (readonly [before: readonly AclRule[], after: readonly AclRule[]])[]
): Tendency {
  const changes = pairs.map(([before, after]) => change(before, after));
  if (!changes.some(({ isLooser }) => isLooser)) return Tendency.TIGHTER;
  return changes.some(({ isTighter }) => isTighter) ? Tendency.MIXED : Tendency.LOOSER;
}

/**
 * How many rules are looked at for where two lists go on alike, if not next to each other. In the place of a network there are
 * others, at most one of each length, when one of its addresses goes.
 */
const NEAR = [8, 64, 512];

interface Differences {
  /** Only in the new list, or in another order than in the old one. */
  readonly added: readonly AclRule[];
  /** Only in the old one, or likewise. */
  readonly gone: readonly AclRule[];
}

/** Rules that are in both, in the same order, change nothing. */
function change(before: readonly AclRule[], after: readonly AclRule[]) {
  const { added, gone } = differences(before, after);
  return {
    isTighter: added.some(isDeny) || gone.some((rule) => !isDeny(rule)),
    isLooser: gone.some(isDeny) || added.some((rule) => !isDeny(rule)),
  };
}

/** Long lists mostly differ in few places: they are walked through side by side as far as that is so. */
function differences(before: readonly AclRule[], after: readonly AclRule[]): Differences {
  const added: AclRule[] = [];
  const gone: AclRule[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [old, now] = [before[i], after[j]];
    if (old !== undefined && (old === now || (now && textOf(old) === textOf(now)))) {
      i++;
      j++;
      continue;
    }
    const alike = nextAlike(before, i, after, j);
    if (!alike) {
      const rest = differencesAnywhere(before.slice(i), after.slice(j));
      return { added: [...added, ...rest.added], gone: [...gone, ...rest.gone] };
    }
    while (i < alike.i) gone.push(before[i++] as AclRule);
    while (j < alike.j) added.push(after[j++] as AclRule);
  }
  return { added, gone };
}

/** Undefined if it is not near. */
function nextAlike(before: readonly AclRule[], i: number, after: readonly AclRule[], j: number) {
  for (const near of NEAR) {
    const places = new Map(before.slice(i, i + near).map((rule, at) => [textOf(rule), i + at]));
    for (const [at, rule] of after.slice(j, j + near).entries()) {
      const place = places.get(textOf(rule));
      if (place !== undefined) return { i: place, j: j + at };
    }
  }
  return undefined;
}

function differencesAnywhere(before: readonly AclRule[], after: readonly AclRule[]): Differences {
  const [old, now] = [before.map((rule) => textOf(rule)), after.map((rule) => textOf(rule))];
  const [inOld, inNow] = [new Set(old), new Set(now)];
  const [stayed, stays] = [old.filter((text) => inNow.has(text)), now.filter((text) => inOld.has(text))];
  if (stayed.length !== stays.length || stayed.some((text, i) => text !== stays[i])) {
    return { added: after, gone: before };
  }
  return {
    added: after.filter((_, i) => !inOld.has(now[i] ?? "")),
    gone: before.filter((_, i) => !inNow.has(old[i] ?? "")),
  };
}

/** Rules are mostly the same objects as before. */
const textOf = memo((rule: AclRule): string => JSON.stringify(rule));

const isDeny = ({ action }: AclRule): boolean => action === "deny";
