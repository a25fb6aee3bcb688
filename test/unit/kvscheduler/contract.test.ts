import { describe, expect, expectTypeOf, test } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Descriptor, Key, OpContext } from "../../../src/kvscheduler/api/descriptor.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

interface Address {
  readonly ip: string;
  readonly length: number;
}

interface Index {
  readonly ifindex: number;
}

/** A descriptor as its author writes it: typed by its value and its metadata, without any cast. */
const addresses: Descriptor<Address, Index> = {
  name: "address",
  keyPrefixes: ["address/"],
  equivalent: (_, a, b) => a.ip === b.ip && a.length === b.length,
  dependencies: (_, value) => [{ label: "link", key: `link/${value.ip}` }],
  create: (_, value) => ({ ifindex: value.length }),
  update: (_key, _old, value, metadata) => ({ ifindex: metadata.ifindex + value.length }),
  delete: (_key, _value, metadata) => {
    expectTypeOf(metadata).toEqualTypeOf<Index>();
  },
};

describe("descriptors", () => {
  test("are typed by their values and metadata, without generated adapters", async () => {
    const s = createScheduler();
    s.register(addresses);
    s.register(plain("link"));
    const value: Address = { ip: "10.0.0.1", length: 24 };
    await s.transact({
      changes: [
        ["link/10.0.0.1", 1],
        ["address/1", value],
      ],
    });
    expect(s.metadata<Index>("address/1")?.ifindex).toBe(24);
    // @ts-expect-error: metadata has no such field
    expect(s.metadata<Index>("address/1")?.index).toBeUndefined();
    const wrong: Descriptor<Address, Index> = {
      ...addresses,
      // @ts-expect-error: not the metadata that was declared
      create: () => "text",
    };
    expect(wrong.name).toBe("address");
  });

  test("own the keys that begin with one of their prefixes, and only those", async () => {
    const made: string[] = [];
    const maker = (name: string, keyPrefixes: Key[]): Descriptor => ({
      name,
      keyPrefixes,
      create: (key) => void made.push(`${name} ${key}`),
      delete: () => undefined,
    });
    const s = createScheduler();
    s.register(maker("one", ["if/eth", "if/tap"]));
    s.register(maker("two", ["if/veth/", "route/"]));
    const keys = ["if/eth0", "if/eth", "if/tap/1", "if/veth/1", "if/veth", "if/", "route/0.0.0.0/0", "routes", "zz"];
    await s.transact({ changes: keys.map((key) => [key, 1] as const) });
    expect(made.sort()).toEqual(["one if/eth", "one if/eth0", "one if/tap/1", "two if/veth/1", "two route/0.0.0.0/0"]);
    expect(s.statuses({ states: ["UNIMPLEMENTED"] }).map((x) => x.key)).toEqual(["if/", "if/veth", "routes", "zz"]);
  });

  test("are found again by prefix, by name and by state", async () => {
    const s = createScheduler();
    s.register(plain("a"));
    s.register(plain("b"));
    await s.transact({ changes: ["a/1", "a/2/x", "b/1", "c/1"].map((key) => [key, 1] as const) });
    expect(s.statuses({ prefix: "a/2" }).map((x) => x.key)).toEqual(["a/2/x"]);
    expect(s.statuses({ descriptor: "b" }).map((x) => x.key)).toEqual(["b/1"]);
    expect(s.statuses({ prefix: "a/", descriptor: "b" })).toEqual([]);
    expect(s.dump("northbound", "a/").map((kv) => kv.key)).toEqual(["a/1", "a/2/x"]);
    expect(s.dump("cached").map((kv) => kv.key)).toEqual(["a/1", "a/2/x", "b/1"]);
    expect((await s.dumpSouthbound({})).values).toEqual([]);
  });

  test("reach other values' metadata, derived ones' too, by their keys", async () => {
    const seen: unknown[] = [];
    const s = createScheduler();
    s.register(plain("a", { create: () => 7, derived: () => [{ key: "b/1", value: 1 }] }));
    s.register(plain("b", { create: () => 8 }));
    s.register(
      plain("c", {
        dependencies: () => [{ label: "b", key: "b/1" }],
        create: (_key: Key, _value: unknown, ctx: OpContext) =>
          void seen.push(ctx.metadata("a/1"), ctx.metadata("b/1"), ctx.metadata("c/1")),
      }),
    );
    await s.transact({
      changes: [
        ["c/1", 1],
        ["a/1", 1],
      ],
    });
    expect(seen).toEqual([7, 8, undefined]);
  });
});

describe("transactions", () => {
  test("an empty one is a barrier: it ends when everything before it has", async () => {
    const done: string[] = [];
    const s = createScheduler();
    s.register(
      plain("a", { create: (key: Key) => new Promise<void>((r) => setImmediate(() => r(void done.push(key)))) }),
    );
    void s.transact({ changes: [["a/1", 1]] });
    s.notify([["a/9", 1]]);
    void s.transact({ changes: [["a/2", 1]] });
    await s.transact({});
    expect(done).toEqual(["a/1", "a/2"]);
    expect(s.status("a/9").state).toBe("OBTAINED");
  });

  test("tell their plan before the first operation", async () => {
    const seen: string[] = [];
    const warnings: string[] = [];
    const s = createScheduler({
      log: { warn: (event) => warnings.push(event) },
      onPlan: (txn) => {
        seen.push(`planned ${txn.seq}: ${txn.planned.map((op) => op.key).join(" ")}; executed ${txn.executed.length}`);
        if (txn.seq === 2) throw new Error("oops");
      },
    });
    s.register(plain("a", { create: (key: Key) => void seen.push(`create ${key}`) }));
    await s.transact({ changes: [["a/1", 1]] });
    await s.transact({ changes: [["a/2", 1]] });
    await s.transact({ changes: [] });
    expect(seen).toEqual(["planned 1: a/1; executed 0", "create a/1", "planned 2: a/2; executed 0", "create a/2"]);
    expect(warnings).toEqual(["onPlan failed"]);
  });

  test("are numbered without a gap, and the result says so", async () => {
    const s = createScheduler();
    s.register(plain("a"));
    const results = await Promise.all([1, 2, 3].map((i) => s.transact({ changes: [[`a/${i}`, 1]] })));
    expect(results.map((r) => r.seq)).toEqual([1, 2, 3]);
    expect(results.map((r) => r.record.seq)).toEqual([1, 2, 3]);
  });

  test("are repeated as often and as slowly as their options say; 0 attempts means without end", async () => {
    const clock = new ManualClock();
    const at: number[] = [];
    const s = createScheduler({ clock, random: () => 0.5 });
    s.register(
      plain("a", {
        create: () => {
          at.push(clock.now());
          throw new Error("no");
        },
      }),
    );
    await s.transact({ changes: [["a/1", 1]], retry: { first: seconds(1), max: seconds(4), attempts: 0 } });
    await clock.advanceAsync(seconds(20), millis(500));
    const gaps = at.slice(1).map((t, i) => t - at[i]!);
    expect(gaps.slice(0, 5)).toEqual([1000, 2000, 4000, 4000, 4000]);
    expect(s.status("a/1").state).toBe("RETRYING");
    await s.close();
  });
});

describe("what a transaction costs", () => {
  const members = (count: number): { key: Key; value: number }[] =>
    Array.from({ length: count }, (_, i) => ({ key: `port/${i}`, value: 1 }));

  test("grows with the number of derived values, not with its square", async () => {
    const visited: number[] = [];
    for (const size of [1000, 10_000]) {
      const s = createScheduler();
      s.register(plain("bridge", { derived: (_: Key, n: unknown) => members(n as number), update: () => 1 }));
      s.register(plain("port"));
      const first = await s.transact({ changes: [["bridge/1", size]] });
      const second = await s.transact({ changes: [["bridge/1", size - 1]] });
      expect([first.record.executed.length, second.record.executed.length]).toEqual([size + 1, 2]);
      visited.push(first.record.nodesVisited! + second.record.nodesVisited!);
    }
    expect(visited[1]! / visited[0]!).toBeLessThan(11);
  });

  test("does not depend on the size of the graph, dry or not", async () => {
    const visited: number[][] = [];
    for (const size of [50, 20_000]) {
      const s = createScheduler();
      s.register(plain("a"));
      s.register(plain("b", { dependencies: () => [{ label: "any", anyOf: { prefixes: ["a/"] } }] }));
      await s.transact({ changes: Array.from({ length: size }, (_, i) => [`a/${i}`, 1] as const) });
      const changes = [
        ["a/x", 1],
        ["b/1", 1],
      ] as const;
      const dry = await s.transact({ changes, dryRun: true });
      const real = await s.transact({ changes });
      visited.push([dry.record.nodesVisited!, real.record.nodesVisited!]);
    }
    expect(visited[1]).toEqual(visited[0]);
  });

  test("does not grow with any-of dependencies on other prefixes", async () => {
    const visited: number[] = [];
    for (const size of [10, 5000]) {
      const s = createScheduler();
      s.register(plain("a"));
      s.register(plain("w", { dependencies: (key) => [{ label: "any", anyOf: { prefixes: [`a/${key}/`] } }] }));
      await s.transact({ changes: Array.from({ length: size }, (_, i) => [`w/${i}`, 1] as const) });
      const { record } = await s.transact({ changes: [["a/w/3/x", 1]] });
      expect(record.executed.map((op) => op.key)).toEqual(["a/w/3/x", "w/3"]);
      visited.push(record.nodesVisited!);
    }
    expect(visited[1]).toBe(visited[0]);
  });
});
