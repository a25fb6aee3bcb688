import type { Node } from "./node.ts";

/** Levels of derivation. More can only be a descriptor that derives without end. */
export const MAX_DERIVATIONS = 16;

/** What `n` is derived from directly, if it is. */
function directBase(n: Node): Node | undefined {
  return n.owner === undefined ? (n.claims?.[0]?.base ?? n.actualDeps.base) : undefined;
}

/** What `n` is derived from in the end, and by how many levels. */
export function originOf(n: Node): { readonly base: Node | undefined; readonly depth: number } {
  let base: Node | undefined;
  let depth = 0;
  for (let b = directBase(n); b !== undefined && depth <= MAX_DERIVATIONS; b = directBase(b)) {
    base = b;
    depth++;
  }
  return { base, depth };
}

/**
 * Whether somebody still wants `n`: not if all that derives it is derived from itself. Values that derive each other in a
 * circle would keep each other alive for ever.
 */
export function isRooted(n: Node, seen = new Set<Node>()): boolean {
  if (n.owner !== undefined) return true;
  if (n.claims === undefined) return n.present && (n.southbound || n.discovered);
  if (seen.has(n)) return false;
  seen.add(n);
  return n.claims.some((c) => isRooted(c.base, seen));
}
