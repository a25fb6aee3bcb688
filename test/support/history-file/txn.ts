import type { StorableTxn } from "../../../src/kvscheduler/api/history.ts";
import type { RecordedOp } from "../../../src/kvscheduler/api/record.ts";

/** A transaction as the scheduler hands it to a store: `ops` creations, planned and executed. */
export function storable(seq: number, endedAt: number, ops = 1, value = "1"): StorableTxn {
  const list = Array.from({ length: ops }, (_, i): RecordedOp => {
    return { op: "create", key: `k/${seq}/${i}`, stateBefore: "NONEXISTENT", stateAfter: "CONFIGURED", value };
  });
  const txn = {
    seq,
    kind: "northbound" as const,
    source: "test",
    mode: "best-effort" as const,
    queuedAt: endedAt - 1,
    startedAt: endedAt - 1,
    endedAt,
    planned: list,
    executed: list,
  };
  return Object.defineProperties(txn, {
    length: { value: ops },
    bytes: { value: 500 + ops * (200 + value.length) },
    slice: { configurable: true, value: (_: "planned" | "executed", from: number, to: number) => list.slice(from, to) },
  }) as unknown as StorableTxn;
}
