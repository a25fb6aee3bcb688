import { describe, expect, test } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { CommitGroup, Descriptor, Key } from "../../../src/kvscheduler/api/descriptor.ts";
import { InvalidValueError } from "../../../src/kvscheduler/api/errors.ts";
import type { Scheduler, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler, type SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

type Loose = { -readonly [K in keyof Descriptor]?: unknown };

interface Bench {
  readonly s: Scheduler;
  readonly clock: ManualClock;
  readonly warnings: string[];
}

/** `a` is the one that misbehaves, `c` a neighbour that needs nothing of it. */
function bench(more: Loose, options: Partial<SchedulerOptions> = {}): Bench {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const log = { warn: (event: string) => warnings.push(event) };
  const s = createScheduler({ clock, log, random: () => 0.5, ...options });
  s.register(plain("a", more as Partial<Descriptor>));
  s.register(plain("c"));
  return { s, clock, warnings };
}

function put(s: Scheduler, value: unknown = { v: 1 }, key: Key = "a/1"): Promise<TxnResult> {
  return s.transact({
    changes: [
      [key, value],
      ["c/1", value],
    ],
  });
}

function oops(): never {
  throw new Error("oops");
}

describe("a callback that throws or answers with what is no answer", () => {
  const text = (): never => {
    throw "text"; // oxlint-disable-line
  };
  const cases: [string, Loose, string, RegExp | undefined][] = [
    ["validate throws", { validate: oops }, "INVALID", /oops/],
    ["validate throws text", { validate: text }, "INVALID", /text/],
    ["validate returns a promise", { validate: () => Promise.reject(new Error("late")) }, "INVALID", /at once/],
    ["dependencies throws", { dependencies: oops }, "INVALID", /oops/],
    ["dependencies returns no list", { dependencies: () => 7 }, "INVALID", /did not return a list/],
    ["dependencies returns nonsense", { dependencies: () => [{ label: "x" }] }, "INVALID", /no dependency/],
    ["dependencies returns null", { dependencies: () => [null] }, "INVALID", /no dependency/],
    ["derived throws", { derived: oops }, "INVALID", /oops/],
    ["derived returns no list", { derived: () => ({ key: "b/1" }) }, "INVALID", /did not return a list/],
    ["derived returns nonsense", { derived: () => [7] }, "INVALID", /no key with a value/],
    ["derived returns its base's key", { derived: () => [{ key: "a/1", value: 1 }] }, "CONFIGURED", undefined],
    ["derived returns no value", { derived: () => [{ key: "b/1", value: undefined }] }, "CONFIGURED", undefined],
    ["create throws at once", { create: oops }, "FAILED", /oops/],
    ["create throws text", { create: text }, "FAILED", /text/],
    ["create rejects", { create: () => Promise.reject(new Error("late")) }, "FAILED", /late/],
    ["create rejects with what is no JSON", { create: () => Promise.reject(7n) }, "FAILED", /^7$/], // oxlint-disable-line
    ["create rejects with nothing", { create: () => Promise.reject(undefined) }, "FAILED", undefined], // oxlint-disable-line
    ["describe throws", { describe: oops }, "CONFIGURED", undefined],
    ["describe returns no text", { describe: () => 7 }, "CONFIGURED", undefined],
    ["selects throws", { dependencies: () => [anyOf(oops)] }, "PENDING", undefined],
    ["selects returns no boolean", { dependencies: () => [anyOf(() => "yes")] }, "CONFIGURED", undefined],
  ];
  test.each(cases)("%s", async (_, more, state, why) => {
    const { s } = bench(more);
    const { record, errors } = await put(s);
    expect(s.status("a/1").state).toBe(state);
    expect(s.status("c/1").state, "the neighbour").toBe("CONFIGURED");
    if (why !== undefined) expect(errors.get("a/1")?.message).toMatch(why);
    expect(JSON.parse(JSON.stringify(record)).executed.length).toBeGreaterThan(0);
  });

  function anyOf(selects: unknown): unknown {
    return { label: "any", anyOf: { prefixes: ["c/"], selects } };
  }

  const changes: [string, Loose, string][] = [
    ["update throws", { update: oops }, "FAILED"],
    ["update rejects", { update: () => Promise.reject(new Error("late")) }, "FAILED"],
    ["equivalent throws", { equivalent: oops, update: () => 1 }, "CONFIGURED"],
    ["updateNeedsRecreate throws", { updateNeedsRecreate: oops, update: () => 1 }, "CONFIGURED"],
    ["delete of a recreation throws", { delete: oops }, "FAILED"],
    ["isRetriable throws", { isRetriable: oops, update: oops }, "RETRYING"],
  ];
  test.each(changes)("in a change: %s", async (_, more, state) => {
    const { s } = bench(more);
    const retry = { first: seconds(1), max: seconds(1), attempts: 1 };
    await s.transact({ changes: [["a/1", { v: 1 }]], ...(state === "RETRYING" && { retry }) });
    await s.transact({
      changes: [
        ["a/1", { v: 2 }],
        ["c/1", 1],
      ],
      ...(state === "RETRYING" && { retry }),
    });
    expect(s.status("a/1").state).toBe(state);
    expect(s.status("c/1").state, "the neighbour").toBe("CONFIGURED");
    await s.close();
  });

  const readings: [string, Loose][] = [
    ["retrieve throws at once", { retrieve: oops }],
    ["retrieve rejects", { retrieve: () => Promise.reject(new Error("late")) }],
    ["retrieve returns no list", { retrieve: () => ({}) }],
  ];
  test.each(readings)("%s: what is known is kept, and the record says so", async (_, more) => {
    const { s } = bench(more);
    await put(s);
    const { record } = await s.transact({ resync: "downstream" });
    expect(record.unread).toEqual(["a"]);
    expect(s.status("a/1").state).toBe("CONFIGURED");
  });

  test.each([
    ["throws", oops],
    ["returns another key", () => ({ key: "c/1", value: 1, metadata: 0 })],
    ["returns nonsense", () => 7],
  ])("retrieveOne %s: the key stays as it was believed to be", async (_, retrieveOne) => {
    const { s } = bench({ create: oops, retrieve: () => [], retrieveOne });
    await put(s);
    expect(s.status("a/1").state).toBe("FAILED");
    expect(s.status("c/1").state).toBe("CONFIGURED");
  });
});

describe("a commit group that answers wrongly", () => {
  const cases: [string, CommitGroup["commit"], string, RegExp][] = [
    ["throws at once", oops, "FAILED", /oops/],
    ["answers with too few results", () => Promise.resolve([]), "FAILED", /answered 2 operations wrongly/],
    ["answers with what is no list", () => Promise.resolve(7 as never), "FAILED", /answered 2 operations wrongly/],
    ["answers with nonsense", () => Promise.resolve([null, 7] as never), "FAILED", /did not say what became of/],
  ];
  test.each(cases)("%s", async (_, commit, state, why) => {
    const { s } = bench({});
    s.register(plain("g", { group: { name: "g", commit } }));
    const { errors } = await s.transact({
      changes: [
        ["g/1", 1],
        ["g/2", 1],
        ["c/1", 1],
      ],
    });
    expect([s.status("g/1").state, s.status("g/2").state]).toEqual([state, state]);
    expect(errors.get("g/1")?.message).toMatch(why);
    expect(s.status("c/1").state).toBe("CONFIGURED");
  });
});

describe("values", () => {
  test("that are invalid name their fields", async () => {
    const { s } = bench({
      validate: () => {
        throw new InvalidValueError("mtu is too large", ["mtu", "link.mtu"]);
      },
    });
    const { errors } = await put(s);
    expect(errors.get("a/1")).toBeInstanceOf(InvalidValueError);
    expect((s.status("a/1").error as InvalidValueError).fields).toEqual(["mtu", "link.mtu"]);
    expect(await s.validate([["a/9", { v: 1 }]])).toMatchObject([{ key: "a/9", fields: ["mtu", "link.mtu"] }]);
  });

  test("of any type will do: they are opaque", async () => {
    const { s } = bench({ update: () => 1 });
    const values: unknown[] = [
      0,
      "",
      false,
      7n,
      Symbol("x"),
      () => 1,
      new Map([[1, 2]]),
      new Uint8Array(3),
      new Date(0),
    ];
    for (const value of values) {
      const { errors, record } = await put(s, value);
      expect([...errors.values()]).toEqual([]);
      expect(JSON.stringify(record).length).toBeGreaterThan(0);
    }
    expect(s.status("a/1").state).toBe("CONFIGURED");
  });

  test("that derive each other in a circle, or without end, end in a defined state", async () => {
    const { s } = bench({ derived: (key: Key) => [{ key: key === "a/1" ? "a/2" : "a/1", value: 1 }] });
    await put(s, 1);
    expect([s.status("a/1").state, s.status("a/2").state]).toEqual(["CONFIGURED", "CONFIGURED"]);
    await s.transact({ changes: [["a/1", undefined]] });
    expect(s.statuses({ prefix: "a/" })).toEqual([]);

    const endless = bench({ derived: (key: Key) => [{ key: `${key}x`, value: 1 }] }).s;
    const result = await put(endless, 1).catch((e: unknown) => e as Error);
    expect(endless.status("c/1").state, result instanceof Error ? result.message : "").toBe("CONFIGURED");
    const bad = endless.statuses({ states: ["INVALID"] });
    expect(bad.map((x) => x.error?.message)).toEqual([
      "a/1xxxxxxxxxxxxxxxx: derives values although it is derived by 16 levels already",
    ]);
    await endless.transact({ changes: [["a/1", undefined]] });
    expect(endless.statuses({ prefix: "a/" })).toEqual([]);
  });
});

describe("a descriptor that changes what it was given", () => {
  const spoil = (_: Key, value: unknown): void => {
    (value as { v: number; list: number[] }).list.push(9);
  };
  const cases: [string, Loose, string][] = [
    ["in create", { create: spoil }, "FAILED"],
    ["in validate", { validate: spoil }, "INVALID"],
    ["in derived", { derived: spoil }, "INVALID"],
    ["in dependencies", { dependencies: spoil }, "INVALID"],
  ];
  test.each(cases)("%s fails where it does it", async (_, more, state) => {
    const { s } = bench(more);
    const value = { v: 1, list: [1] };
    const { errors } = await put(s, value);
    expect(s.status("a/1").state).toBe(state);
    expect(errors.get("a/1")?.message).toMatch(/not extensible/);
    expect(value).toEqual({ v: 1, list: [1] });
    expect(s.status("c/1").state).toBe("CONFIGURED");
  });
});

describe("misuse", () => {
  test("a transaction that was queued when the scheduler closed is refused, and one that runs is aborted", async () => {
    const { s } = bench({
      create: (_: Key, __: unknown, { signal }: { signal: AbortSignal }) =>
        new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
    });
    const running = put(s);
    const queued = put(s).catch((e: Error) => e.message);
    await new Promise((resolve) => setImmediate(resolve));
    await s.close();
    expect((await running).errors.get("a/1")?.message).toBe("scheduler is closed");
    expect(await queued).toBe("scheduler is closed");
    expect(await put(s).catch((e: Error) => e.message)).toBe("scheduler is closed");
  });

  test("changes that cannot be read are refused, and the scheduler goes on", async () => {
    const { s } = bench({});
    for (const changes of [7, [7], [["a/1"]], [[1, 1]], [["", 1]], [["a/1", null]]]) {
      const refused = await s.transact({ changes: changes as never }).then(
        () => "taken",
        (e: Error) => e.name,
      );
      if (JSON.stringify(changes) !== '[["a/1"]]') expect(refused, JSON.stringify(changes)).not.toBe("taken");
    }
    expect((await put(s)).errors.size).toBe(0);
  });

  test("notifications with nonsense are ignored", async () => {
    const { s } = bench({});
    s.notify([]);
    s.notify([["", 1]]);
    s.notify([["zz/1", 1]]);
    await s.transact({});
    expect(s.statuses()).toEqual([]);
  });

  test("ten thousand dependents of one key are removed and made again, in time that grows with their number", async () => {
    const visited: number[] = [];
    for (const size of [1000, 10_000]) {
      const s = createScheduler();
      s.register(plain("a"));
      s.register(plain("b", { dependencies: () => [{ label: "a", key: "a/1" }] }));
      const many = Array.from({ length: size }, (_, i) => [`b/${i}`, 1] as const);
      await s.transact({ changes: [["a/1", 1], ...many] });
      const { record } = await s.transact({ changes: [["a/1", 2]] });
      expect(record.executed).toHaveLength(2 * size + 2);
      expect(s.statuses({ states: ["CONFIGURED"] })).toHaveLength(size + 1);
      visited.push(record.nodesVisited!);
    }
    expect(visited[1]! / visited[0]!).toBeLessThan(11);
  });

  test("a deadline that passes while the loop is busy is still noticed", async () => {
    const { s, clock } = bench({ create: () => new Promise(() => undefined), deadline: millis(100) });
    const result = put(s);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(seconds(60));
    expect((await result).errors.get("a/1")?.message).toBe("create of a/1 did not finish within 100 ms");
  });
});
