import type { Clock } from "../../base/clock/clock.ts";
import { Slice } from "../../base/slice/slice.ts";
import type { StorableTxn } from "../api/history.ts";
import { encodeLine } from "./line.ts";

/** What the line needs beside its head and its operations: checksum, brackets, the number of those left out. */
const FRAME = 100;

/**
 * The line of a transaction, at most `maxBytes` characters long if its head alone is not longer: operations that do not
 * fit are left out of both lists and counted in `omitted`. A long one is made in slices.
 */
export async function encodeTxn(txn: StorableTxn, maxBytes: number, clock: Clock): Promise<Buffer> {
  const head: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(txn)) if (name !== "planned" && name !== "executed") head[name] = value;
  const planned: string[] = [];
  const executed: string[] = [];
  const slice = new Slice(clock);
  let start = JSON.stringify(head);
  let room = maxBytes - FRAME - start.length;
  let kept = 0;
  for (; kept < txn.length; kept++) {
    const plan = textAt(txn, "planned", kept);
    const done = textAt(txn, "executed", kept);
    room -= (plan?.length ?? 0) + (done?.length ?? 0) + 2;
    if (room < 0) break;
    if (plan !== undefined) planned.push(plan);
    if (done !== undefined) executed.push(done);
    if (slice.isOver()) {
      await slice.pause();
    }
  }
  if (kept < txn.length) {
    start = JSON.stringify({ ...head, omitted: (txn.omitted ?? 0) + txn.length - kept });
  }
  return encodeLine(`${start.slice(0, -1)},"planned":[${planned.join(",")}],"executed":[${executed.join(",")}]}`);
}

function textAt(txn: StorableTxn, list: "planned" | "executed", index: number): string | undefined {
  const [op] = txn.slice(list, index, index + 1);
  return op === undefined ? undefined : JSON.stringify(op);
}
