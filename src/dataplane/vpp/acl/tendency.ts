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
  const [old, now] = [before.map(textOf), after.map(textOf)];
  const [inOld, inNow] = [new Set(old), new Set(now)];
  const added = after.filter((_, i) => !inOld.has(now[i] ?? ""));
  const gone = before.filter((_, i) => !inNow.has(old[i] ?? ""));
  const [stayed, stays] = [old.filter((text) => inNow.has(text)), now.filter((text) => inOld.has(text))];
  const isReordered = stayed.length !== stays.length || stayed.some((text, i) => text !== stays[i]);
  return {
    isTighter: isReordered || added.some(isDeny) || gone.some((rule) => !isDeny(rule)),
    isLooser: isReordered || gone.some(isDeny) || added.some((rule) => !isDeny(rule)),
  };
}

/** Rules are mostly the same objects as before. */
const texts = new WeakMap<AclRule, string>();

function textOf(rule: AclRule): string {
  let text = texts.get(rule);
  if (text === undefined) texts.set(rule, (text = JSON.stringify(rule)));
  return text;
}

const isDeny = ({ action }: AclRule): boolean => action === "deny";
