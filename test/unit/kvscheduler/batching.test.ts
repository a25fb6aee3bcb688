import { describe, expect, test } from "vitest";
import type { Descriptor, GroupOp, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

/** A kind whose southbound takes many operations at once: a commit group of its own makes it a batching descriptor. */
function batching(guilty: ReadonlySet<Key>, maxOps?: number): { descriptor: Descriptor; commits: GroupOp[][] } {
  const commits: GroupOp[][] = [];
  const descriptor = plain("a", {
    group: {
      name: "a",
      ...(maxOps !== undefined && { maxOps }),
      commit: (ops) => {
        commits.push([...ops]);
        const bad = ops.filter((op) => guilty.has(op.key));
        if (bad.length > 0) return Promise.reject(new Error(`line 7: no such thing`));
        return Promise.resolve();
      },
    },
  });
  return { descriptor, commits };
}

function values(n: number): [Key, number][] {
  return Array.from({ length: n }, (_, i) => [`a/${String(i).padStart(5, "0")}`, i]);
}

describe("a batching descriptor", () => {
  test("gets the operations of a transaction in one commit", async () => {
    const { descriptor, commits } = batching(new Set());
    const s = createScheduler();
    s.register(descriptor);
    await s.transact({ changes: values(1000) });
    expect(commits.map((c) => c.length)).toEqual([1000]);
  });

  test("gets no more at once than it takes", async () => {
    const { descriptor, commits } = batching(new Set(), 300);
    const s = createScheduler();
    s.register(descriptor);
    await s.transact({ changes: values(1000) });
    expect(commits.map((c) => c.length)).toEqual([300, 300, 300, 100]);
  });

  test.each([1, 2, 5, 16])(
    "has %d guilty keys among 4096 found with few commits, and the others applied",
    async (g) => {
      const guilty = new Set(Array.from({ length: g }, (_, i) => values(4096)[(i * 977 + 13) % 4096]![0]));
      const { descriptor, commits } = batching(guilty);
      const s = createScheduler();
      s.register(descriptor);
      const { errors } = await s.transact({ changes: values(4096) });
      expect(new Set(errors.keys())).toEqual(guilty);
      expect(s.statuses({ states: ["CONFIGURED"] })).toHaveLength(4096 - g);
      // Each guilty key makes at most two commits at each of the 12 levels of halving, and there is the first one.
      expect(commits.length).toBeLessThanOrEqual(1 + 2 * g * Math.log2(4096));
    },
  );

  test("has every operation carried out once at most", async () => {
    const { descriptor, commits } = batching(new Set(["a/00100"]));
    const s = createScheduler();
    s.register(descriptor);
    await s.transact({ changes: values(500) });
    const done = commits.filter((c) => !c.some((op) => op.key === "a/00100")).flat();
    expect(new Set(done.map((op) => op.key)).size).toBe(done.length);
    expect(done).toHaveLength(499);
  });
});
