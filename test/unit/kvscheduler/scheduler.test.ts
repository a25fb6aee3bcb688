import { describe, expect, test } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { ClosedError, OverloadedError } from "../../../src/base/errors/errors.ts";
import type { Descriptor, OpContext } from "../../../src/kvscheduler/api/descriptor.ts";
import { BadTransactionError } from "../../../src/kvscheduler/api/errors.ts";
import type { Txn } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound } from "../../support/kvscheduler/mock-southbound.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

describe("transact", () => {
  const refused: [string, Txn][] = [
    ["an empty key", { changes: [["", 1]] }],
    ["null as a value", { changes: [["a/1", null]] }],
    ["a downstream resync with changes", { resync: "downstream", changes: [["a/1", 1]] }],
    ["an atomic resync", { resync: "full", mode: "atomic" }],
  ];
  test.each(refused)("refuses %s", async (_, txn) => {
    await expect(createScheduler().transact(txn)).rejects.toThrow(BadTransactionError);
  });

  test("stops waiting when the caller's signal aborts, and does what was asked all the same", async () => {
    const southbound = new MockSouthbound();
    const s = createScheduler({ clock: new ManualClock() });
    s.register(southbound.descriptor("a"));
    southbound.fail("a/1", "hang");
    const abort = new AbortController();
    const txn = s.transact({ changes: [["a/1", { v: 1 }]], signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(txn).rejects.toThrow("enough");
    southbound.release();
    await turn();
    expect(s.status("a/1").state).toBe("CONFIGURED");
  });

  test("refuses what does not fit into the queue", async () => {
    const southbound = new MockSouthbound();
    const s = createScheduler({ clock: new ManualClock(), queue: 2 });
    s.register(southbound.descriptor("a"));
    southbound.fail("a/1", "hang");
    const all = [1, 2, 3].map((i) => s.transact({ changes: [[`a/${i}`, { v: 1 }]] }));
    await expect(s.transact({ changes: [["a/4", { v: 1 }]] })).rejects.toThrow(OverloadedError);
    southbound.release();
    await Promise.all(all);
    expect((await s.transact({ changes: [["a/4", { v: 1 }]] })).errors.size).toBe(0);
  });

  test("gives a context with the metadata of other values and a signal that aborts at the deadline", async () => {
    const clock = new ManualClock();
    const s = createScheduler({ clock });
    let seen: OpContext | undefined;
    s.register(plain("a", { create: () => ({ index: 7 }) }));
    s.register(
      plain("b", {
        deadline: seconds(5),
        dependencies: () => [{ label: "a", key: "a/1" }],
        create: (_, __, ctx) => {
          seen = ctx;
          return new Promise((_resolve, reject) =>
            ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)),
          );
        },
      }),
    );
    const txn = s.transact({
      changes: [
        ["a/1", 1],
        ["b/1", 1],
      ],
    });
    await turn();
    expect(seen?.metadata("a/1")).toEqual({ index: 7 });
    expect(seen?.metadata("a/2")).toBeUndefined();
    expect(seen?.signal.aborted).toBe(false);
    clock.advance(seconds(5));
    expect((await txn).errors.get("b/1")?.message).toBe("create of b/1 did not finish within 5000 ms");
    expect(seen?.signal.aborted).toBe(true);
  });

  test("runs independent operations at once, as many as the descriptor allows", async () => {
    const southbound = new MockSouthbound({ pause: turn });
    const s = createScheduler();
    s.register(southbound.descriptor("a", { concurrency: 3 }));
    await s.transact({ changes: Array.from({ length: 20 }, (_, i) => [`a/${i}`, { v: 1 }] as const) });
    expect(southbound.maxRunning).toBe(3);
    expect(southbound.stored.size).toBe(20);
  });

  const lies: [string, Partial<Descriptor>, string][] = [
    [
      "dependencies throw",
      {
        dependencies: () => {
          throw new Error("oops");
        },
      },
      "INVALID",
    ],
    [
      "derived throws",
      {
        derived: () => {
          throw new Error("oops");
        },
      },
      "INVALID",
    ],
    [
      "two dependencies have one label",
      {
        dependencies: () => [
          { label: "x", key: "b/1" },
          { label: "x", key: "b/2" },
        ],
      },
      "INVALID",
    ],
    [
      "create throws something that is no error",
      {
        create: () => {
          throw "text";
        },
      },
      "FAILED",
    ], // oxlint-disable-line
    ["derived yields no value", { derived: () => [{ key: "b/1", value: undefined }] }, "CONFIGURED"],
    [
      "describe throws",
      {
        describe: () => {
          throw new Error("oops");
        },
      },
      "CONFIGURED",
    ],
  ];
  test.each(lies)("ends in a defined state if %s", async (_, more, state) => {
    const s = createScheduler({ clock: new ManualClock() });
    s.register(plain("a", more));
    s.register(plain("c"));
    const { record } = await s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["c/1", 1],
      ],
    });
    expect(s.status("a/1").state).toBe(state);
    expect(s.status("c/1").state, "the neighbour").toBe("CONFIGURED");
    expect(JSON.parse(JSON.stringify(record)).planned).toHaveLength(state === "INVALID" ? 1 : 2);
  });

  test("a comparison that throws counts as a difference", async () => {
    const s = createScheduler();
    const updates: unknown[] = [];
    s.register(
      plain("a", {
        equivalent: () => {
          throw new Error("oops");
        },
        update: (_, __, value) => updates.push(value),
      }),
    );
    await s.transact({ changes: [["a/1", { v: 1 }]] });
    await s.transact({ changes: [["a/1", { v: 1 }]] });
    expect(updates).toHaveLength(1);
  });

  test("values of a retrieve that are not the descriptor's own are ignored", async () => {
    const warnings: unknown[] = [];
    const s = createScheduler({ log: { warn: (_, fields) => warnings.push(fields["why"]) } });
    const items = [
      { key: "a/1", value: 1, metadata: 0 },
      { key: "a/1", value: 2, metadata: 0 },
      { key: "b/1", value: 1, metadata: 0 },
      { key: "", value: 1, metadata: 0 },
      { key: "a/2", value: undefined, metadata: 0 },
      undefined as never,
    ];
    s.register(plain("a", { retrieve: () => Promise.resolve(items) }));
    await s.transact({ resync: "downstream" });
    expect(s.statuses().map((x) => `${x.key} ${x.state}`)).toEqual(["a/1 DISCOVERED"]);
    expect(warnings).toHaveLength(5);
  });

  test("ten thousand dependents of one key are removed and made again", async () => {
    const s = createScheduler();
    s.register(plain("a"));
    s.register(plain("b", { dependencies: () => [{ label: "a", key: "a/1" }] }));
    const many = Array.from({ length: 10_000 }, (_, i) => [`b/${i}`, 1] as const);
    await s.transact({ changes: [["a/1", 1], ...many] });
    const { record } = await s.transact({ changes: [["a/1", 2]] });
    expect(record.executed).toHaveLength(20_002);
    expect(s.statuses({ states: ["CONFIGURED"] })).toHaveLength(10_001);
  });
});

describe("a dry run", () => {
  test("visits as many nodes in a large graph as in a small one", async () => {
    const visits: number[] = [];
    for (const size of [50, 5000]) {
      const southbound = new MockSouthbound();
      const s = createScheduler();
      let calls = 0;
      const d = southbound.descriptor("a");
      s.register({ ...d, dependencies: (key, value) => (calls++, d.dependencies!(key, value)) });
      await s.transact({ changes: Array.from({ length: size }, (_, i) => [`a/${i}`, { v: 1 }] as const) });
      calls = 0;
      const { record } = await s.transact({
        dryRun: true,
        changes: [
          ["a/x", { v: 1 }],
          ["a/1", { v: 2 }],
        ],
      });
      expect(record.planned.map((op) => `${op.op} ${op.key}`)).toEqual(["create a/x", "update a/1"]);
      visits.push(calls);
      expect(s.dump("northbound")).toHaveLength(size);
      expect(s.dump("northbound", "a/1").find((kv) => kv.key === "a/1")?.value).toEqual({ v: 1 });
    }
    expect(visits[1]).toBe(visits[0]);
  });
});

describe("close", () => {
  test("aborts what runs, refuses what waits, and ends", async () => {
    const clock = new ManualClock();
    const s = createScheduler({ clock });
    s.register(
      plain("a", {
        create: (_, __, { signal }) =>
          new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
      }),
    );
    const running = s.transact({ changes: [["a/1", 1]] });
    const waiting = expect(s.transact({ changes: [["a/2", 1]] })).rejects.toThrow(ClosedError);
    await turn();
    await s.close();
    await waiting;
    expect((await running).errors.get("a/1")).toBeInstanceOf(ClosedError);
    await expect(s.transact({ changes: [] })).rejects.toThrow(ClosedError);
    s.notify([["a/3", 1]]);
    expect(clock.pending).toBe(0);
  });
});

describe("history", () => {
  test("is bounded by count, bytes and age", async () => {
    const clock = new ManualClock();
    const bounds: [object, number][] = [
      [{ count: 3 }, 3],
      [{ bytes: 5000 }, 6],
      [{ age: seconds(2) }, 3],
    ];
    for (const [history, expected] of bounds) {
      const s = createScheduler({ clock, history });
      s.register(plain("a"));
      for (let i = 0; i < 20; i++) {
        await s.transact({ changes: [[`a/${i}`, "x".repeat(100)]] });
        clock.advance(seconds(1));
      }
      expect(s.history().length, JSON.stringify(history)).toBeLessThanOrEqual(expected);
      expect(s.history().at(-1)?.seq).toBe(20);
    }
  });

  test("a record that alone exceeds the bound is shortened, and says so", async () => {
    const s = createScheduler({ history: { bytes: 10_000 } });
    s.register(plain("a"));
    await s.transact({ changes: Array.from({ length: 1000 }, (_, i) => [`a/${i}`, i] as const) });
    const record = s.history()[0]!;
    expect(record.executed.length + record.omitted!).toBe(1000);
    expect(record.executed.length).toBeGreaterThan(0);
  });
});
