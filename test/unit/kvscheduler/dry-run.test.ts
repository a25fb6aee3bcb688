import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Txn } from "../../../src/kvscheduler/api/scheduler.ts";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound, type MockValue } from "../../support/kvscheduler/mock-southbound.ts";
import { plain } from "../../support/kvscheduler/plain.ts";
import { ticking } from "./ticking-clock.ts";

const needs = (key: string): MockValue["deps"] => [{ label: key, key }];

function rig(): { s: ReturnType<typeof createScheduler>; southbound: MockSouthbound } {
  const southbound = new MockSouthbound();
  const s = createScheduler({ clock: new ManualClock() });
  s.register(southbound.descriptor("a"));
  s.register(southbound.descriptor("b", { update: false }));
  return { s, southbound };
}

/** Everything that a dry run could have changed. */
function picture({ s, southbound }: ReturnType<typeof rig>): unknown {
  return {
    statuses: s.statuses(),
    northbound: s.dump("northbound"),
    cached: s.dump("cached"),
    graph: s.graphView(),
    southbound: [...southbound.stored],
    suspended: s.stats().suspended,
  };
}

async function filled(): Promise<ReturnType<typeof rig>> {
  const r = rig();
  await r.s.transact({
    resync: "full",
    changes: [
      ["a/1", { v: 1, derived: [{ key: "p/1", value: { v: 1 } }] }],
      ["a/2", { v: 1 }],
      ["b/1", { v: 1, deps: needs("a/1") }],
      ["b/2", { v: 1, deps: needs("a/9") }],
      ["b/3", { v: 1, deps: [{ label: "any", anyOf: { prefixes: ["a/"] } }] }],
    ],
  });
  // Somebody meddles: one is gone, one is changed, one is strange.
  r.southbound.vanish("a/2");
  r.southbound.tamper("b/1", "tampered");
  r.southbound.appear("b/stray", { v: 1 }, "northbound");
  r.southbound.takeOps();
  return r;
}

const cases: [string, Txn, string[]][] = [
  ["a change", { changes: [["a/1", { v: 2 }]] }, []],
  ["a removal", { changes: [["a/1", undefined]] }, []],
  ["an atomic transaction", { mode: "atomic", changes: [["b/1", { v: 3 }]] }, []],
  ["an invalid value", { changes: [["a/1", { v: 2, invalid: true }]] }, []],
  ["an upstream resync", { resync: "upstream", changes: [["a/9", { v: 1 }]] }, []],
  ["a full resync", { resync: "full", changes: [["a/9", { v: 1 }]] }, ["retrieve a", "retrieve b"]],
  ["a downstream resync", { resync: "downstream" }, ["retrieve a", "retrieve b"]],
];

describe("a dry run of", () => {
  test.each(cases)("%s leaves everything as it was", async (_, txn, reads) => {
    const r = await filled();
    const before = picture(r);
    await r.s.transact({ ...txn, dryRun: true });
    expect(r.southbound.takeOps()).toEqual(reads);
    expect(picture(r)).toEqual(before);
  });

  test.each(cases)("%s says what the transaction would do", async (_, txn) => {
    const r = await filled();
    const dry = await r.s.transact({ ...txn, dryRun: true });
    const wet = await r.s.transact(txn);
    const invalid = wet.record.executed.length === 0 && wet.errors.size > 0;
    expect(renderOps(dry.record.planned)).toEqual(renderOps(wet.record.planned));
    expect([...dry.errors.keys()]).toEqual([...wet.errors.keys()]);
    expect(dry.pending).toEqual(wet.pending);
    expect(dry.record.planned.length > 0 || invalid || txn.mode === "atomic").toBe(true);
    expect(dry.record.executed).toEqual([]);
  });

  test("a resync names what it could not read", async () => {
    const r = await filled();
    r.southbound.unreadable.set("a", "fails");
    const { record } = await r.s.transact({ resync: "downstream", dryRun: true });
    expect(record.unread).toEqual(["a"]);
  });

  test("a first full resync does not make the next one any later a resync", async () => {
    const r = rig();
    r.southbound.appear("a/1", { v: 1 }, "northbound");
    await r.s.transact({ resync: "full", changes: [["a/1", { v: 1 }]], dryRun: true });
    await r.s.transact({ resync: "full", changes: [["a/1", { v: 1 }]] });
    const given = r.southbound.correlates.filter((c) => c.descriptor === "a").map((c) => c.list.map(({ key }) => key));
    expect(given, "what is wanted, both times").toEqual([["a/1"], ["a/1"]]);
  });
});

describe("the cost of a dry run", () => {
  test("is that of what it touches, whatever the size of the graph", async () => {
    const visited: number[] = [];
    for (const size of [50, 20_000]) {
      const s = createScheduler();
      s.register(plain("a", { update: () => undefined }));
      s.register(plain("b", { dependencies: (key) => [{ label: "a", key: `a/${key.slice(2)}` }] }));
      const all = ["a", "b"].flatMap((kind) =>
        Array.from({ length: size / 2 }, (_, i) => [`${kind}/${i}`, 1] as const),
      );
      await s.transact({ changes: all });
      for (const txn of [
        { changes: [["a/7", 2]] },
        { changes: [["b/7", undefined]] },
        { changes: [["a/7", undefined]] },
      ] satisfies Txn[]) {
        const { record } = await s.transact({ ...txn, dryRun: true });
        visited.push(record.nodesVisited!);
      }
    }
    expect(visited[0]).toBeGreaterThan(0);
    expect(visited.slice(3)).toEqual(visited.slice(0, 3));
    expect(Math.max(...visited)).toBeLessThan(20);
  });

  test("if great, is paid on a copy: nobody sees the graph in between, and the event loop has its turns", async () => {
    const s = createScheduler({ clock: ticking(1) });
    s.register(plain("a", { update: () => undefined }));
    const all = Array.from({ length: 500 }, (_, i) => [`a/${i}`, { v: 1 }] as const);
    await s.transact({ changes: all });
    const seen = new Set<string>();
    let turns = 0;
    let over = false;
    const look = (): void => {
      if (over) return;
      turns++;
      seen.add(JSON.stringify([s.dump("northbound").length, s.status("a/1"), s.stats().graph.nodes]));
      setImmediate(look);
    };
    look();
    const changes = all.map(([key], i) => [key, i % 2 === 0 ? { v: 2 } : undefined] as const);
    const { record } = await s.transact({ dryRun: true, changes: [...changes, ["a/new", { v: 1 }]] });
    over = true;
    expect(record.planned).toHaveLength(501);
    expect(turns).toBeGreaterThan(3);
    expect([...seen]).toHaveLength(1);
  });
});
