import { describe, expect, test } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { ClosedError, OverloadedError } from "../../../src/base/errors/errors.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler, type SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound } from "../../support/kvscheduler/mock-southbound.ts";

interface Rig {
  readonly s: Scheduler;
  readonly southbound: MockSouthbound;
  readonly clock: ManualClock;
}

function rig(options: Partial<SchedulerOptions> = {}): Rig {
  const southbound = new MockSouthbound();
  const clock = new ManualClock();
  const s = createScheduler({ clock, random: () => 0.5, ...options });
  s.register(southbound.descriptor("a"));
  s.register(southbound.descriptor("b", { retrieveOne: true }));
  s.register(southbound.descriptor("g", { group: southbound.group("set") }));
  s.register(southbound.descriptor("blind", { retrieve: false }));
  return { s, southbound, clock };
}

async function turn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

describe("statistics", () => {
  test("count transactions by kind and outcome", async () => {
    const { s, southbound } = rig();
    await s.transact({ changes: [["a/1", { v: 1 }]] });
    southbound.fail("a/2");
    await s.transact({ changes: [["a/2", { v: 1 }]] });
    southbound.fail("a/3");
    await s.transact({ changes: [["a/3", { v: 1 }]], mode: "atomic" });
    await s.transact({ changes: [["a/4", { v: 1 }]], dryRun: true });
    s.notify([
      ["a/5", { v: 1 }],
      ["a/5", { v: 2 }],
    ]);
    await s.transact({});
    const stats = s.stats();
    expect(stats.lastSeq).toBe(6);
    expect(stats.transactions.map(({ kind, outcomes }) => [kind, outcomes])).toEqual([
      ["northbound", { ok: 2, failed: 1, reverted: 1, "dry-run": 1 }],
      ["notification", { ok: 1 }],
    ]);
    expect(stats.queue.merged).toBe(1);
    for (const { wait, duration, outcomes } of stats.transactions) {
      const count = Object.values(outcomes).reduce((sum, n) => sum + n, 0);
      expect([wait.count, duration.count]).toEqual([count, count]);
      expect(duration.buckets.reduce((sum, n) => sum + n, 0)).toBe(count);
    }
    expect(stats.phases.map(({ phase }) => phase)).toEqual(["plan", "execute", "record"]);
  });

  test("measure the waiting in the queue and the time until the end", async () => {
    const { s, southbound, clock } = rig();
    southbound.fail("a/1", "hang");
    const first = s.transact({ changes: [["a/1", { v: 1 }]] });
    const second = s.transact({ changes: [["a/2", { v: 1 }]] });
    await clock.advanceAsync(seconds(1));
    expect(s.stats().queue.length).toBe(1);
    southbound.release();
    await Promise.all([first, second]);
    const { wait, duration } = s.stats().transactions[0]!;
    expect([wait.minMs, wait.maxMs, wait.sumMs]).toEqual([0, 1000, 1000]);
    expect([duration.minMs, duration.maxMs]).toEqual([0, 1000]);
  });

  test("count calls by descriptor, operation and outcome; commits under their group's name", async () => {
    const { s, southbound, clock } = rig();
    await s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["b/1", { v: 1 }],
        ["g/1", { v: 1 }],
        ["g/2", { v: 1 }],
      ],
    });
    southbound.fail("b/1");
    await s.transact({ changes: [["b/1", { v: 2 }]] });
    southbound.fail("a/1", "hang");
    const late = s.transact({ changes: [["a/1", undefined]] });
    await clock.advanceAsync(seconds(2));
    await late;
    await s.transact({ resync: "downstream" });
    const calls = s.stats().calls.map(({ descriptor, op, outcomes: { ok, failed, late: l } }) => {
      return `${descriptor} ${op} ${ok} ${failed} ${l}`;
    });
    expect(calls).toEqual([
      "a create 1 0 0",
      "a delete 0 0 1",
      "a retrieve 1 0 0",
      "b create 1 0 0",
      "b retrieve 1 0 0",
      "b retrieve-one 1 0 0",
      "b update 1 1 0",
      "g retrieve 1 0 0",
      "set commit 1 0 0",
    ]);
  });

  test("tell of the queue's bound, of missed events, of retries and of the values' states", async () => {
    const { s, southbound } = rig({ queue: 1 });
    const watch = s.watchStatus({}, { bound: 1 });
    southbound.fail("a/1", "before", 9);
    southbound.fail("a/2", "hang");
    const retry = { first: seconds(1), max: seconds(1), attempts: 0 };
    const first = s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["a/2", { v: 1 }],
        ["nobody/1", 1],
        ["b/1", { v: 1, deps: [{ label: "x", key: "x/1" }] }],
      ],
      retry,
    });
    const second = s.transact({});
    await expect(s.transact({})).rejects.toThrow(OverloadedError);
    southbound.release();
    await Promise.all([first, second]);
    const stats = s.stats();
    expect(stats.queue).toEqual({ length: 0, capacity: 1, refused: 1, merged: 0 });
    expect(stats.watchers).toEqual({ open: 1, missed: 3 });
    expect(stats.retries).toEqual({ waiting: 1, run: 0 });
    expect(stats.values).toEqual([
      { descriptor: "a", states: { CONFIGURED: 1, RETRYING: 1 } },
      { descriptor: "b", states: { PENDING: 1 } },
      { descriptor: "blind", states: {} },
      { descriptor: "g", states: {} },
      { states: { UNIMPLEMENTED: 1 } },
    ]);
    watch.close();
    await s.close();
    expect(s.stats().watchers).toEqual({ open: 0, missed: 3 });
  });
});

describe("the dump of the southbound", () => {
  test("tells what is there, how it differs from what is believed, and changes nothing", async () => {
    const { s, southbound } = rig();
    await s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["a/2", { v: 1 }],
        ["b/1", { v: 1 }],
        ["blind/1", { v: 1 }],
      ],
    });
    southbound.vanish("a/1");
    southbound.tamper("b/1", 2);
    southbound.appear("a/3", { v: 3 }, "southbound");
    southbound.takeOps();
    const before = [s.statuses(), s.graphView(), s.dump("cached")];
    const dump = await s.dumpSouthbound();
    expect(southbound.takeOps()).toEqual(["retrieve a", "retrieve b", "retrieve g"]);
    expect(dump).toEqual({
      values: [
        { key: "a/2", value: { v: 1 }, descriptor: "a", origin: "northbound" },
        { key: "a/3", value: { v: 3 }, descriptor: "a", origin: "southbound", differs: "unknown" },
        { key: "b/1", value: { v: 2 }, descriptor: "b", origin: "northbound", differs: "value" },
      ],
      missing: ["a/1"],
      unread: [{ descriptor: "blind" }],
    });
    expect([s.statuses(), s.graphView(), s.dump("cached")]).toEqual(before);
    expect(s.history()).toHaveLength(1);
  });

  test("reads only what is asked for, and names what cannot be read", async () => {
    const { s, southbound } = rig();
    southbound.unreadable.set("b", "fails");
    await s.dumpSouthbound({ prefix: "a/1" });
    expect(southbound.takeOps()).toEqual(["retrieve a"]);
    const { unread } = await s.dumpSouthbound({ descriptor: "b" });
    expect(unread.map((u) => [u.descriptor, u.error?.message])).toEqual([["b", "b cannot be read"]]);
  });

  test("waits for its turn in the queue, until the caller has had enough or the scheduler closes", async () => {
    const { s, southbound } = rig();
    southbound.fail("a/1", "hang");
    const txn = s.transact({ changes: [["a/1", { v: 1 }]] });
    await turn();
    const abort = new AbortController();
    const given = s.dumpSouthbound({}, abort.signal);
    const refused = s.dumpSouthbound();
    abort.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    expect(southbound.ops).toEqual(["create a/1"]);
    const closed = s.close();
    await expect(refused).rejects.toThrow(ClosedError);
    southbound.release();
    await Promise.all([txn, closed]);
    await expect(s.dumpSouthbound()).rejects.toThrow(ClosedError);
  });
});

describe("a pending value", () => {
  test("says since when each of its dependencies is not met, anew each time it is lost", async () => {
    const { s, clock } = rig();
    const start = clock.wall();
    const deps = [
      { label: "one", key: "a/1" },
      { label: "any", anyOf: { prefixes: ["g/", "blind/"] } },
    ];
    await s.transact({ changes: [["b/1", { v: 1, deps }]] });
    clock.advance(seconds(10));
    await s.transact({ changes: [["a/1", { v: 1 }]] });
    expect(s.status("b/1").unmet).toEqual([{ label: "any", wants: ["g/", "blind/"], since: start }]);
    clock.advance(seconds(10));
    await s.transact({ changes: [["g/1", { v: 1 }]] });
    expect(s.status("b/1").state).toBe("CONFIGURED");
    clock.advance(seconds(10));
    await s.transact({ changes: [["a/1", undefined]] });
    expect(s.status("b/1").unmet).toEqual([{ label: "one", wants: ["a/1"], since: start + 30_000 }]);
  });
});

describe("the timeline of a key", () => {
  test("has every operation on it, with its transaction, and no other", async () => {
    const { s, southbound } = rig();
    await s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["a/2", { v: 1 }],
      ],
      description: "first",
    });
    southbound.fail("a/1");
    await s.transact({ source: "aa", changes: [["a/1", { v: 2 }]] });
    await s.transact({ changes: [["a/2", { v: 3 }]] });
    await s.transact({ changes: [["a/1", undefined]], dryRun: true });
    expect(
      s.timeline("a/1").map(({ seq, source, description, op }) => [seq, source, description, op.op, op.error]),
    ).toEqual([
      [1, "default", "first", "create", undefined],
      [2, "aa", undefined, "update", "update of a/1 failed"],
    ]);
    expect(s.timeline("a/9")).toEqual([]);
  });
});
