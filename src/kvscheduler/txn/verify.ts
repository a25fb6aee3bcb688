import { isHeld, VerificationError } from "../api/errors.ts";
import type { Node } from "../graph/node.ts";
import { equivalent } from "../graph/registry.ts";
import type { Op } from "./op.ts";
import type { Refresh } from "./refresh.ts";
import type { Staging } from "./staging.ts";

/**
 * Reads again what descriptors say they have done, and fails the keys for which the southbound shows something else.
 * Kinds that cannot be read are taken at their word.
 * @returns whether any has failed so
 */
export async function verify(refresh: Refresh, staging: Staging, finished: readonly Op[]): Promise<boolean> {
  /** By node: the last operation, and what it is said to have brought about. */
  const last = new Map<Node, Op>();
  for (const op of finished) {
    const n = op.node;
    const readable = n.descriptor?.api.retrieve !== undefined || n.descriptor?.api.retrieveOne !== undefined;
    if (op.status === "done" && !op.noop && readable) last.set(n, op);
  }
  for (const n of last.keys()) if (n.late || (n.trouble !== undefined && isHeld(n.trouble.error))) last.delete(n);
  if (last.size === 0) return false;
  await refresh.keys(staging, last.keys());
  let some = false;
  for (const [n, op] of last) {
    const code = defectOf(n, op);
    if (code === undefined) continue;
    some = true;
    op.status = "failed";
    op.outcome = undefined;
    op.error = new VerificationError(code, n.key);
    n.missing = false;
    if (op.kind === "delete") {
      // Not a discovery: it is what we have failed to remove.
      n.discovered = false;
      staging.resolve(n);
    }
    staging.fail(n, op.error, op.kind);
  }
  return some;
}

function defectOf(n: Node, op: Op): VerificationError["code"] | undefined {
  if (op.kind === "delete") return n.present ? "EXPECTED_TO_NOT_EXIST" : undefined;
  if (!n.present) return "EXPECTED_TO_EXIST";
  return equivalent(n.descriptor, n.key, n.actual, op.value) ? undefined : "NOT_EQUIVALENT";
}
