import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Key } from "../../../src/kvscheduler/api/descriptor.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { type Fault, MockSouthbound, type MockValue } from "../../support/kvscheduler/mock-southbound.ts";
import { Model, Needs } from "./model.ts";
import { type Step, steps } from "./steps.ts";

const KINDS = ["a", "b", "g1", "g2", "n"] as const;

interface Bench {
  readonly scheduler: Scheduler;
  readonly southbound: MockSouthbound;
  readonly model: Model;
  /** Who needs whom, before and after the current step. */
  needs: Needs;
  /** Nothing has happened behind the scheduler's back: then its order can be judged. */
  strict: boolean;
}

async function bench(options: { async: boolean; seed: number; concurrency: number }): Promise<Bench> {
  let random = options.seed | 1;
  const next = (): number => {
    random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff;
    return random / 0x80000000;
  };
  const b: Bench = {
    model: new Model(KINDS),
    strict: true,
    needs: new Needs(),
    southbound: new MockSouthbound({
      ...(options.async && {
        pause: async () => {
          for (let turns = Math.floor(next() * 6); turns > 0; turns--) await Promise.resolve();
          if (next() < 0.2) await new Promise<void>((resolve) => setImmediate(resolve));
        },
      }),
      check: (op, key, value) => b.strict && judge(b, op, key, value),
    }),
    scheduler: createScheduler({
      clock: new ManualClock(),
      concurrency: options.concurrency,
      defaults: { concurrency: options.concurrency },
      precedence: { s0: 0, s1: 1 },
    }),
  };
  const group = b.southbound.group("g");
  b.scheduler.register(b.southbound.descriptor("a"));
  b.scheduler.register(b.southbound.descriptor("b", { update: false, retrieveOne: true }));
  b.scheduler.register(b.southbound.descriptor("g1", { group }));
  b.scheduler.register(b.southbound.descriptor("g2", { group }));
  b.scheduler.register(b.southbound.descriptor("n", { retrieve: false }));
  await b.scheduler.transact({ source: "s0", resync: "full" });
  b.southbound.takeOps();
  return b;
}

/** No operation before what it needs, none after what it needs is gone. Where values need each other, any order goes. */
function judge(b: Bench, op: string, key: Key, value: MockValue): void {
  const { southbound } = b;
  if (op === "delete") {
    for (const [k, s] of southbound.stored) {
      if (k === key || s.origin === "southbound") continue;
      const needs = (s.value.deps ?? []).filter((d) => "key" in d && d.key === key);
      if (needs.length === 0 || needs.some((d) => "carries" in d && d.carries) || inCircle(b, k, key)) continue;
      southbound.complaints.push(`delete of ${key}, which ${k} needs`);
    }
    return;
  }
  b.needs.add(key, value);
  const present = new Set([...southbound.stored.keys(), ...b.needs.properties]);
  for (const d of value.deps ?? []) {
    if (b.needs.targets(d).some((t) => present.has(t) || t === key || inCircle(b, key, t))) continue;
    southbound.complaints.push(`${op} of ${key} before ${JSON.stringify(d)}`);
  }
}

function inCircle(b: Bench, x: Key, y: Key): boolean {
  return b.needs.reaches(x, y) && b.needs.reaches(y, x);
}

async function run(b: Bench, step: Step): Promise<void> {
  const { model, scheduler, southbound } = b;
  b.needs = new Needs();
  for (const [key, s] of southbound.stored) b.needs.add(key, s.value);
  for (const [key, { value }] of model.wanted()) b.needs.add(key, value);
  if (step.kind === "notify") {
    for (const [key, value] of step.changes) {
      const owned = model.wanted().has(key) && !model.observed.has(key);
      if (owned) continue;
      if (value === undefined) {
        model.observed.delete(key);
        southbound.vanish(key);
      } else {
        model.observed.set(key, value);
        b.needs.add(key, value);
        southbound.appear(key, value, "southbound");
      }
      // Told one by one, so that each is judged by what the one before has brought about.
      scheduler.notify([[key, value]]);
      await scheduler.transact({ changes: [] });
      model.settle();
    }
    return;
  }
  if (step.kind === "meddle") {
    b.strict = false;
    const before = new Set(southbound.stored.keys());
    for (const key of step.vanish) {
      if (southbound.stored.get(key)?.origin === "northbound" && !key.startsWith("n/")) drop(b, key);
    }
    for (const [key, v] of step.change) {
      const s = southbound.stored.get(key);
      if (s !== undefined && s.origin === "northbound" && !key.startsWith("n/")) {
        southbound.stored.set(key, { ...s, value: { ...s.value, v } });
      }
    }
    // A key that was there before would hide that it was another one, with other values needing it.
    for (const key of step.appear) if (!before.has(key)) southbound.appear(key, { v: "stray" }, "northbound");
    await scheduler.transact({ resync: "downstream" });
    b.strict = true;
    return;
  }
  const before = { values: southbound.values(), statuses: digest(b) };
  const source = model.sources[step.source]!;
  const backup = new Map(source);
  const observed = new Map(model.observed);
  if (step.resync !== undefined) source.clear();
  for (const [key, value] of step.changes) {
    if (value === undefined) source.delete(key);
    else source.set(key, value);
  }
  model.settle();
  for (const [key, { value }] of model.wanted()) b.needs.add(key, value);
  for (const [key, fault] of step.faults) {
    const afterwardsUnknown = key.startsWith("n/") || key.startsWith("g");
    southbound.fail(key, afterwardsUnknown ? "before" : fault, step.atomic ? 1 : Number.POSITIVE_INFINITY);
  }
  const result = await scheduler.transact({
    source: `s${step.source}`,
    changes: step.changes,
    ...(step.resync !== undefined && { resync: step.resync }),
    mode: step.atomic && step.resync === undefined ? "atomic" : "best-effort",
  });
  southbound.faults.clear();
  if (result.errors.size > 0 && step.atomic && step.resync === undefined) {
    expect(southbound.values(), "an atomic transaction that failed leaves everything as it was").toEqual(before.values);
    expect(digest(b)).toEqual(before.statuses);
    source.clear();
    for (const [k, v] of backup) source.set(k, v);
    model.observed.clear();
    for (const [k, v] of observed) {
      model.observed.set(k, v);
      southbound.stored.set(k, { ...southbound.stored.get(k)!, origin: "southbound" });
    }
    return;
  }
  expect(cached(b), "what is believed to be in place is what is there").toEqual(southbound.values());
  if (step.faults.length > 0) await scheduler.transact({ resync: "downstream" });
}

/** A value that goes by itself takes along what only it can tell of. */
function drop(b: Bench, key: Key): void {
  const before = new Map(b.southbound.stored);
  b.southbound.vanish(key);
  for (const [gone, s] of before) {
    if (b.southbound.stored.has(gone)) continue;
    for (const d of s.value.derived ?? []) {
      const owned = b.model.sources.some((source) => source.has(d.key));
      if (d.key.startsWith("n/") && !owned && b.southbound.stored.has(d.key)) drop(b, d.key);
    }
  }
}

function cached(b: Bench): Map<Key, unknown> {
  const known = b.scheduler.dump("cached").filter(({ key }) => !key.startsWith("p/"));
  return new Map(known.map(({ key, value }) => [key, (value as MockValue).v]));
}

function digest(b: Bench): string[] {
  return b.scheduler.statuses().map((s) => `${s.key} ${s.state}`);
}

function settled(b: Bench): void {
  expect(b.southbound.complaints).toEqual([]);
  expect(b.southbound.values()).toEqual(b.model.southbound());
  expect(cached(b)).toEqual(b.southbound.values());
  const bad = b.scheduler.statuses({ states: ["FAILED", "RETRYING", "MISSING", "DISCOVERED"] });
  expect(bad.map((s) => `${s.key} ${s.state} ${s.error?.message}`)).toEqual([]);
}

const RUNS = Number(process.env["KVS_RUNS"] ?? 300);
const SEED = process.env["KVS_SEED"];
const parameters = { numRuns: RUNS, ...(SEED !== undefined && { seed: Number(SEED) }) };

describe("any sequence of transactions, notifications, failures and resyncs", () => {
  test("ends as the model says, in an order that respects every dependency", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 12 }), fc.integer(), fc.boolean(), async (script, seed, async) => {
        const b = await bench({ async, seed, concurrency: 8 });
        for (const step of script) {
          await run(b, step);
          settled(b);
        }
        const quiet = b.southbound.takeOps().length;
        expect(quiet).toBeGreaterThanOrEqual(0);
        await b.scheduler.transact({ resync: "downstream" });
        expect(
          b.southbound.takeOps().filter((op) => !op.startsWith("retrieve")),
          "a resync that finds nothing wrong does nothing",
        ).toEqual([]);
        await b.scheduler.close();
      }),
      parameters,
    );
  });

  test("has the same outcome whether operations run at once or one after another", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 10 }), fc.integer(), async (script, seed) => {
        const serial = await bench({ async: false, seed, concurrency: 1 });
        const concurrent = await bench({ async: true, seed, concurrency: 8 });
        for (const step of script) {
          await run(serial, step);
          await run(concurrent, step);
          expect(concurrent.southbound.values()).toEqual(serial.southbound.values());
          expect(digest(concurrent)).toEqual(digest(serial));
        }
        await serial.scheduler.close();
        await concurrent.scheduler.close();
      }),
      parameters,
    );
  });

  test("plans the same text for the same graph and the same transaction", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 8 }), fc.integer(), async (script, seed) => {
        const first = await bench({ async: false, seed, concurrency: 8 });
        const second = await bench({ async: true, seed, concurrency: 8 });
        const plans = (b: Bench): string[] =>
          b.scheduler.history().map((r) => r.planned.map((o) => `${o.op} ${o.key}`).join(", "));
        for (const step of script) {
          await run(first, step);
          await run(second, step);
        }
        expect(plans(second)).toEqual(plans(first));
        await first.scheduler.close();
        await second.scheduler.close();
      }),
      { ...parameters, numRuns: Math.ceil(RUNS / 3) },
    );
  });
});

export type { Fault };
