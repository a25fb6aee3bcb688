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
  const add = (op: Op): void => {
    op.visit = 2;
    op.index = order.length;
    order.push(op);
  };
  for (const root of sorted) {
    if (due()) yield;
    if (root.visit !== 0) continue;
    if (root.ins === undefined) {
      add(root);
      continue;
    }
    // No recursion, and breaks within: everything may hang together in one chain.
    const stack: Frame[] = [{ op: root, next: 0 }];
    root.visit = 1;
    while (stack.length > 0) {
      if (due()) yield;
      const frame = stack.at(-1)!;
      const edge = frame.op.ins?.[frame.next];
      if (edge === undefined) {
        add(frame.op);
        stack.pop();
      } else if (edge.from.visit === 1) {
        breakCircle(stack, edge.from);
      } else {
        frame.next++;
        if (edge.from.visit !== 0) continue;
        edge.from.visit = 1;
        stack.push({ op: edge.from, next: 0 });
      }
    }
  }
  return order;
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
