import { PerformanceObserver } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Dependency, Key, Retrieved } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import type { TestClock } from "../../support/kvscheduler/scenario-run.ts";
import { differ } from "./differ.ts";
import { execute, settled } from "./execute.ts";
import { checkScripts, runLong, SEED } from "./script.ts";
import { steps } from "./steps.ts";

/** Transactions in all; `npm run test:all` runs the full soak. */
const TRANSACTIONS = Number(process.env["KVS_SOAK"] ?? (process.env["HEDDLE_TEST_ALL"] === "1" ? 100_000 : 2000));
/** Steps of one script at most. Long ones find what only shows after much has happened; short ones shrink faster. */
const LENGTH = 120;
/** Values in one transaction. */
const VALUES = TRANSACTIONS >= 100_000 ? 20_000 : 5000;
/** Our own code must not run longer between two turns of the event loop. */
const MAX_SLICE_MS = 20;
const TIMEOUT_MS = 60_000 + TRANSACTIONS * 20;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

describe(`soak: ${TRANSACTIONS} random transactions, KVS_SEED=${SEED}`, () => {
  test(
    "finds nothing, and never holds the event loop",
    async () => {
      let transactions = 0;
      let longest = 0;
      const batch = Math.max(1, Math.ceil(TRANSACTIONS / 20 / LENGTH));
      for (let round = 0; transactions < TRANSACTIONS; round++) {
        const arbitrary = fc.array(steps, { maxLength: LENGTH, size: "max" });
        await checkScripts(
          arbitrary,
          { runs: batch, seed: Math.imul(SEED, 1000) + round },
          async (script, start, slow) => {
            const b = await start({ concurrency: 1 + (slow % 64), clock: realTime, ...(slow % 2 === 0 && { slow }) });
            for (const step of script) await execute(b, step);
            await b.play("> resync downstream");
            settled(b);
            transactions += b.transactions;
            longest = Math.max(longest, b.run.scheduler.stats().longestSliceMs);
          },
        );
      }
      process.stdout.write(
        `soak: ${transactions} transactions, KVS_SEED=${SEED}, longest slice ${longest.toFixed(1)} ms\n`,
      );
      expect(await withoutCollector(longest)).toBeLessThan(MAX_SLICE_MS);
    },
    TIMEOUT_MS,
  );

  test(
    `never holds the event loop in transactions of ${VALUES} values either`,
    async () => {
      const s = createScheduler({ clock: realTime() });
      const there = new Map<Key, unknown>();
      const create = (key: Key, value: unknown): Promise<void> => Promise.resolve(void there.set(key, value));
      const remove = (key: Key): Promise<void> => Promise.resolve(void there.delete(key));
      const retrieve = (): Promise<Retrieved<unknown, unknown>[]> =>
        Promise.resolve([...there].map(([key, value]) => ({ key, value, metadata: undefined })));
      const needs = (key: Key): Dependency[] => (key === "a/0" ? [] : [{ label: "first", key: "a/0" }]);
      s.register({ name: "a", keyPrefixes: ["a/"], create, delete: remove, retrieve, dependencies: needs });
      const all = (v: number): [Key, unknown][] => Array.from({ length: VALUES }, (_, i) => [`a/${i}`, { v, i }]);
      await s.transact({ changes: all(1) });
      await s.transact({ changes: all(2) });
      await s.transact({ changes: all(3), dryRun: true });
      await s.transact({ changes: all(2), resync: "full" });
      there.clear();
      await s.transact({ resync: "downstream" });
      await s.transact({ changes: all(4), mode: "atomic" });
      await s.transact({ changes: [], resync: "full" });
      expect(there.size).toBe(0);
      expect(await withoutCollector(s.stats().longestSliceMs)).toBeLessThan(MAX_SLICE_MS);
    },
    TIMEOUT_MS,
  );

  test(
    "keeps no more memory after many transactions than after some",
    async () => {
      const heaps: number[] = [];
      const script = fc.sample(steps, { numRuns: Math.ceil(TRANSACTIONS / 5), seed: SEED });
      const fifth = Math.ceil(script.length / 6);
      const b = await runLong(script, { concurrency: 16, clock: realTime }, (bench, step) => {
        const { correlates, ops } = bench.run.southbound;
        for (const list of [bench.log, bench.run.warnings, correlates, ops]) list.length = 0;
        if (step % fifth !== fifth - 1) return;
        collect();
        heaps.push(process.memoryUsage().heapUsed / 2 ** 20);
      });
      const rows = heaps.map((mib) => `${mib.toFixed(1)} MiB`).join(", ");
      process.stdout.write(`soak: heap after each fifth of ${b.transactions} transactions of one scheduler: ${rows}\n`);
      const { history, graph } = b.run.scheduler.stats();
      expect(history.transactions).toBeLessThanOrEqual(1000);
      expect(graph.nodes).toBeLessThan(200);
      // The history fills up to its bound at first; after that nothing grows.
      differ("growth", [], heaps.at(-1)! - heaps[1]! > 8 ? [rows] : []);
    },
    TIMEOUT_MS,
  );
});

const pauses: number[] = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) pauses.push(entry.duration);
}).observe({ entryTypes: ["gc"] });

/** What the garbage collector may have had of it is not our code. */
async function withoutCollector(sliceMs: number): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 10)); // observers are told later
  return sliceMs - Math.max(0, ...pauses.splice(0));
}

/**
 * Moves when it is told to, and by itself as this thread works: so that slices can be measured, and other processes on
 * the same machine do not count.
 */
function realTime(): TestClock {
  const manual = new ManualClock();
  const worked = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  const start = worked();
  return {
    now: () => manual.now() + worked() - start,
    wall: () => manual.wall() + worked() - start,
    schedule: (delay, callback) => manual.schedule(delay, callback),
    advance: (by) => manual.advance(by),
  };
}
