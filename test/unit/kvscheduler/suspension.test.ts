import { describe, expect, test } from "vitest";
import { type Duration, millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { CommitGroup, Descriptor, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { SuspendedError } from "../../../src/kvscheduler/api/errors.ts";
import type { Scheduler, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

/** `slow` does not answer while it hangs; `quick` is another descriptor. */
interface Rig {
  readonly s: Scheduler;
  readonly clock: ManualClock;
  /** Operations that `slow` got. */
  readonly sent: string[];
  hangs: boolean;
  /** Lets what hangs end. */
  release(): void;
}

function rig(more: Partial<Descriptor> = {}): Rig {
  const waiting: (() => void)[] = [];
  const clock = new ManualClock();
  const r: Rig = {
    s: createScheduler({ clock, random: () => 0.5 }),
    clock,
    sent: [],
    hangs: true,
    release: () => {
      for (const go of waiting.splice(0)) go();
    },
  };
  const answer = async (op: string, key: Key): Promise<void> => {
    r.sent.push(`${op} ${key}`);
    if (r.hangs) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  r.s.register(
    plain("slow", {
      create: (key) => answer("create", key),
      delete: (key) => answer("delete", key),
      ...more,
    }),
  );
  r.s.register(plain("quick"));
  return r;
}

/** Lets time pass until the transaction has ended; returns how much. */
async function through(clock: ManualClock, txn: Promise<TxnResult>): Promise<{ result: TxnResult; took: number }> {
  let result: TxnResult | undefined;
  void txn.then((r) => (result = r));
  const start = clock.now();
  for (let i = 0; i < 1000; i++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (result !== undefined) return { result, took: clock.now() - start };
    clock.advance(millis(100));
  }
  throw new Error("the transaction does not end");
}

function many(n: number): [Key, unknown][] {
  return Array.from({ length: n }, (_, i) => [`slow/${String(i).padStart(5, "0")}`, 1]);
}

describe("a descriptor that hangs", () => {
  test("costs a transaction of 10,000 values one deadline, and the others nothing", async () => {
    const { s, clock, sent } = rig();
    const txn = s.transact({ changes: [...many(10_000), ["quick/1", 1]] });
    const { result, took } = await through(clock, txn);
    expect(took).toBeLessThanOrEqual(2100);
    expect(sent).toHaveLength(16);
    expect(result.errors.size).toBe(10_000);
    expect(result.record.suspended).toEqual(["slow"]);
    expect(s.status("quick/1").state).toBe("CONFIGURED");
    const error = s.status("slow/09999").error;
    expect(error).toBeInstanceOf(SuspendedError);
    expect(error?.message).toBe("descriptor slow is suspended after 16 calls in a row outlived their deadlines");
    expect(s.status("slow/09999").state).toBe("RETRYING");
    expect(s.stats().suspended).toEqual(["slow"]);
  });

  test("does not hold up the transactions after it", async () => {
    const { s, clock } = rig();
    await through(clock, s.transact({ changes: many(20) }));
    for (let i = 0; i < 5; i++) {
      const next = s.transact({
        changes: [
          [`slow/x${i}`, 1],
          [`quick/${i}`, 1],
        ],
      });
      const { result, took } = await through(clock, next);
      expect(took).toBe(0);
      expect([...result.errors.keys()]).toEqual([`slow/x${i}`]);
    }
  });

  test("gets everything that was held back when it answers again, without anybody asking for retries", async () => {
    const r = rig({ retrieveOne: () => Promise.resolve(undefined), retrieve: () => Promise.resolve([]) });
    await through(r.clock, r.s.transact({ changes: many(40) }));
    r.hangs = false;
    r.release();
    for (let i = 0; i < 8; i++) await new Promise<void>((resolve) => setImmediate(resolve));
    expect(r.s.statuses({ descriptor: "slow", states: ["CONFIGURED"] })).toHaveLength(40);
    expect(r.s.stats().suspended).toEqual([]);
  });

  test("is tried again after a pause that grows, if it never answers", async () => {
    const { s, clock, sent } = rig();
    await through(clock, s.transact({ changes: many(100) }));
    expect(sent).toHaveLength(16);
    const tries: number[] = [];
    for (let t = 0; t < 80; t++) {
      const before = sent.length;
      await clock.advanceAsync(seconds(1));
      await clock.advanceAsync(0 as Duration);
      if (sent.length > before) tries.push(t);
    }
    // 10 s, then 2 s of waiting and 20 s of pause, then 2 s and 40 s.
    expect(tries).toEqual([9, 31, 73]);
    expect(s.status("slow/00099").state).toBe("RETRYING");
    await s.close();
    expect(clock.pending).toBeLessThanOrEqual(1);
  });

  test("is not suspended by operations that hang now and then", async () => {
    const { s, clock } = rig({
      concurrency: 1,
      create: (key: Key) => (/[05]$/.test(key) ? new Promise<void>(() => undefined) : undefined),
    });
    const { result } = await through(clock, s.transact({ changes: many(20) }));
    expect(result.errors.size).toBe(4);
    expect(result.record.suspended).toBeUndefined();
  });

  test("is not read either, and a resync says so at once", async () => {
    const r = rig({ retrieve: () => new Promise(() => undefined) });
    r.s.register(plain("other", { retrieve: () => Promise.resolve([]) }));
    const first = await through(r.clock, r.s.transact({ resync: "full" }));
    expect(first.took).toBeGreaterThanOrEqual(30_000);
    const second = await through(r.clock, r.s.transact({ resync: "downstream" }));
    expect(second.took).toBe(0);
    expect(second.result.record.unread).toEqual(["slow"]);
  });
});

describe("a commit group that hangs", () => {
  test("is suspended with all its descriptors after one commit", async () => {
    const { s, clock } = rig();
    let commits = 0;
    const group: CommitGroup = {
      name: "g",
      maxOps: 10,
      commit: () => {
        commits++;
        return new Promise(() => undefined);
      },
    };
    s.register(plain("g1", { group }));
    s.register(plain("g2", { group }));
    const changes = Array.from({ length: 100 }, (_, i) => [`g1/${i}`, 1] as const);
    const { result, took } = await through(clock, s.transact({ changes: [...changes, ["g2/1", 1], ["quick/1", 1]] }));
    expect(took).toBeLessThanOrEqual(2100);
    expect(commits).toBe(1);
    expect(result.errors.size).toBe(101);
    expect(s.status("g2/1").error).toBeInstanceOf(SuspendedError);
    expect(s.status("quick/1").state).toBe("CONFIGURED");
    expect(s.stats().suspended).toEqual(["g"]);
  });
});
