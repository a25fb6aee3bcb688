import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { Fifo } from "../../../src/base/queue/fifo.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { sortInSteps } from "../../../src/kvscheduler/txn/sort.ts";
import { inTurns, Turn } from "../../../src/kvscheduler/txn/turn.ts";
import { plain } from "../../support/kvscheduler/plain.ts";
import { ticking } from "./ticking-clock.ts";

/** Counts the turns that the event loop gets while `work` runs. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let over = false;
  const count = (): void => {
    if (over) return;
    turns++;
    setImmediate(count);
  };
  setImmediate(count);
  await work();
  over = true;
  return turns;
}

function chain(size: number): [Key, number][] {
  return Array.from({ length: size }, (_, i) => [`a/${String(i).padStart(6, "0")}`, i]);
}

/** Each value needs the one before it. */
const chained = {
  dependencies: (_: Key, value: unknown) =>
    value === 0 ? [] : [{ label: "before", key: `a/${String((value as number) - 1).padStart(6, "0")}` }],
};

describe("the event loop", () => {
  test.each([
    ["many values", chain(2000), {}],
    ["a chain of values", chain(2000), chained],
    ["many values that need one", chain(2000), { dependencies: star }],
  ])("has its turns while %s are brought about, and nothing gets lost on the way", async (_, changes, more) => {
    for (const create of [() => undefined, () => Promise.resolve()]) {
      const s = createScheduler({ clock: ticking(1) });
      s.register(plain("a", { ...more, create, delete: create }));
      let result = await s.transact({ changes: [] });
      expect(await turnsDuring(async () => (result = await s.transact({ changes })))).toBeGreaterThan(20);
      expect([...result.errors.values()].map((e) => e.message)).toEqual([]);
      expect(s.statuses({ states: ["CONFIGURED"] })).toHaveLength(2000);
      await turnsDuring(async () => (result = await s.transact({ resync: "upstream", changes: [] })));
      expect(result.errors.size).toBe(0);
      expect(s.statuses()).toEqual([]);
    }
  });

  function star(key: Key): { label: string; key: Key }[] {
    return key === "a/000000" ? [] : [{ label: "first", key: "a/000000" }];
  }

  test("has its turns between transactions that cost little each", async () => {
    const s = createScheduler({ clock: ticking(1) });
    s.register(plain("a"));
    const turns = await turnsDuring(async () => {
      for (let i = 0; i < 500; i++) await s.transact({ changes: [[`a/${i}`, 1]] });
    });
    expect(turns).toBeGreaterThan(5);
  });

  test("is not given away while there is little to do", async () => {
    const s = createScheduler({ clock: new ManualClock() });
    s.register(plain("a"));
    expect(await turnsDuring(() => s.transact({ changes: [["a/1", 1]] }))).toBeLessThanOrEqual(1);
  });

  test("is measured: the longest time that it was held is told", async () => {
    let now = 0;
    const clock = {
      now: () => now,
      wall: () => 0,
      schedule: () => ({ cancel: () => undefined }),
    };
    const s = createScheduler({ clock });
    s.register(plain("a", { create: () => void (now += 30) }));
    await s.transact({ changes: [["a/1", 1]] });
    await new Promise<void>((resolve) => setImmediate(resolve));
    expect(s.stats().longestSliceMs).toBe(30);
  });
});

describe("a failure at the root of a long chain", () => {
  test("skips all of it, whatever its length", async () => {
    const s = createScheduler();
    const create = (key: Key): void => {
      if (key === "a/000000") throw new Error("no");
    };
    s.register(plain("a", { ...chained, create }));
    const { errors, pending } = await s.transact({ changes: chain(30_000) });
    expect([...errors.keys()]).toEqual(["a/000000"]);
    expect(pending).toHaveLength(29_999);
  });
});

describe("helpers", () => {
  test("sorting in steps sorts, and keeps the order of what is equal", async () => {
    const items = fc.array(fc.tuple(fc.nat(50), fc.nat()), { minLength: 0, maxLength: 2000 });
    await fc.assert(
      fc.asyncProperty(items, async (list) => {
        const turn = new Turn(ticking(1));
        const compare = (a: readonly number[], b: readonly number[]): number => a[0]! - b[0]!;
        const expected = list.toSorted(compare);
        expect(await inTurns(turn, sortInSteps([...list], compare))).toEqual(expected);
      }),
      { numRuns: 50 },
    );
  });

  test("a queue gives back what was put in, in its order", () => {
    const fifo = new Fifo<number>();
    const out: (number | undefined)[] = [];
    for (let i = 0; i < 5000; i++) {
      fifo.push(i);
      if (i % 3 === 0) out.push(fifo.shift());
    }
    expect(fifo.size).toBe(5000 - out.length);
    while (fifo.size > 100) out.push(fifo.shift());
    out.push(...fifo.takeAll());
    expect(out).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    expect(fifo.shift()).toBeUndefined();
  });
});
