import { HeddleError } from "../../base/errors/errors.ts";
import type { Op } from "./op.ts";
import { due, type Steps } from "./turn.ts";

interface Frame {
  readonly op: Op;
  next: number;
}

/**
 * Brings sorted operations into an order in which each comes after everything it waits for; otherwise the given order is
 * kept. Dependencies that form a circle are given up one at a time, at the place that comes last in the given order;
 * what is derived always stays after its base.
 */
export function* topological(sorted: readonly Op[]): Steps<Op[]> {
  const order: Op[] = [];
  for (const op of sorted) {
    if (due()) yield;
    if (op.visit === 0) visitFrom(op, order);
  }
  for (const [i, op] of order.entries()) op.index = i;
  return order;
}

function visitFrom(root: Op, order: Op[]): void {
  if (root.ins === undefined) {
    root.visit = 2;
    order.push(root);
    return;
  }
  const stack: Frame[] = [{ op: root, next: 0 }];
  root.visit = 1;
  while (stack.length > 0) {
    const frame = stack.at(-1)!;
    const edge = frame.op.ins?.[frame.next];
    if (edge === undefined) {
      frame.op.visit = 2;
      order.push(frame.op);
      stack.pop();
      continue;
    }
    const from = edge.from;
    if (from.visit === 0) {
      from.visit = 1;
      stack.push({ op: from, next: 0 });
    } else if (from.visit === 1) {
      breakCircle(stack, from);
      continue;
    }
    frame.next++;
  }
}

/** The top of the stack waits for `from`, which is on the stack: unwinds to the loosest edge in between, and drops it. */
function breakCircle(stack: Frame[], from: Op): void {
  const start = stack.findLastIndex((f) => f.op === from);
  for (const hold of ["loose", "tight"] as const) {
    for (let i = stack.length - 1; i >= start; i--) {
      const frame = stack[i]!;
      // Below the top, a frame has already stepped past the edge that it is following.
      const at = i === stack.length - 1 ? frame.next : frame.next - 1;
      if (frame.op.ins![at]!.hold !== hold) continue;
      frame.op.ins!.splice(at, 1);
      frame.next = at;
      for (const f of stack.splice(i + 1)) f.op.visit = 0;
      return;
    }
  }
  throw new HeddleError("BAD_ORDER", `values are derived from each other in a circle at ${from.node.key}`);
}
