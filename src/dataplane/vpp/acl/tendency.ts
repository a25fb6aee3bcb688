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

/** Rules that are in both, in the same order, change nothing. */
function change(before: readonly AclRule[], after: readonly AclRule[]) {
  const [old, now] = [before.map((rule) => JSON.stringify(rule)), after.map((rule) => JSON.stringify(rule))];
  const [inOld, inNow] = [new Set(old), new Set(now)];
  const added = after.filter((_, i) => !inOld.has(now[i] ?? ""));
  const gone = before.filter((_, i) => !inNow.has(old[i] ?? ""));
  const stayed = (texts: readonly string[]) => texts.filter((text) => inOld.has(text) && inNow.has(text)).join();
  const isReordered = stayed(old) !== stayed(now);
  return {
    isTighter: isReordered || added.some(isDeny) || gone.some((rule) => !isDeny(rule)),
    isLooser: isReordered || gone.some(isDeny) || added.some((rule) => !isDeny(rule)),
  };
}

const isDeny = ({ action }: AclRule): boolean => action === "deny";
