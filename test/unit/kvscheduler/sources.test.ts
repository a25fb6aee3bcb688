import { describe, expect, test } from "vitest";
import { type Duration, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Scheduler } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler, type SchedulerOptions } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound } from "../../support/kvscheduler/mock-southbound.ts";

interface Rig {
  readonly s: Scheduler;
  readonly clock: ManualClock;
  readonly southbound: MockSouthbound;
}

/** A scheduler that has just started over a southbound in which `a/etcd` and `a/grpc` are left from its last life. */
function restarted(options: Partial<SchedulerOptions>): Rig {
  const southbound = new MockSouthbound();
  const clock = new ManualClock();
  const s = createScheduler({ clock, ...options });
  s.register(southbound.descriptor("a"));
  southbound.appear("a/etcd", { v: 1 }, "northbound");
  southbound.appear("a/grpc", { v: 1 }, "northbound");
  return { s, clock, southbound };
}

const etcd = { source: "etcd", resync: "full", changes: [["a/etcd", { v: 1 }]] } as const;
const grpc = { source: "grpc", resync: "full", changes: [["a/grpc", { v: 1 }]] } as const;
const expected = { sources: { etcd: { grace: seconds(30) }, grpc: { grace: seconds(30) } } };

function keys({ southbound }: Rig): string[] {
  return [...southbound.stored.keys()];
}

async function pass(clock: ManualClock, time: Duration): Promise<void> {
  await clock.advanceAsync(time);
  await clock.advanceAsync(0 as Duration);
}

describe("the first resync after a start", () => {
  test("removes what nobody asks for, if no other source is expected", async () => {
    const rig = restarted({});
    await rig.s.transact(etcd);
    expect(keys(rig)).toEqual(["a/etcd"]);
  });

  test("keeps what it finds for a source that is expected and has not come yet", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
    expect(rig.s.status("a/grpc").state).toBe("DISCOVERED");
    expect(rig.s.stats().awaited).toEqual(["grpc"]);
    rig.southbound.takeOps();
    await rig.s.transact(grpc);
    expect(rig.southbound.takeOps(), "nothing was touched").toEqual(["retrieve a"]);
    expect(rig.s.status("a/grpc").state).toBe("CONFIGURED");
    expect(rig.s.stats().awaited).toEqual([]);
  });

  test("of the last expected source removes what was kept and nobody wants", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    await rig.s.transact({ source: "grpc", resync: "full", changes: [] });
    expect(keys(rig)).toEqual(["a/etcd"]);
  });

  test("does not wait for an absent source for ever: when its grace has passed, what was kept for it is judged", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    await pass(rig.clock, seconds(29));
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
    await pass(rig.clock, seconds(1));
    expect(keys(rig)).toEqual(["a/etcd"]);
    const record = rig.s.history().at(-1)!;
    expect([record.kind, record.description]).toEqual(["grace", "did not come in time: grpc"]);
    await rig.s.transact(grpc);
    expect(keys(rig), "it is not too late for the source").toEqual(["a/etcd", "a/grpc"]);
  });

  test("counts the grace from the first resync, not from the start", async () => {
    const rig = restarted(expected);
    await pass(rig.clock, seconds(100));
    expect(rig.clock.pending, "no timer while nothing is to be waited for").toBe(0);
    await rig.s.transact(etcd);
    await pass(rig.clock, seconds(29));
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
  });

  test("of a source keeps what is found also in a downstream resync in between", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    await rig.s.transact({ resync: "downstream" });
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
  });

  test("tried as a dry run is not taken for the source's coming", async () => {
    const rig = restarted(expected);
    await rig.s.transact({ ...grpc, dryRun: true });
    await rig.s.transact(etcd);
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
  });

  test("leaves no timer behind when the scheduler is closed", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    await rig.s.close();
    await pass(rig.clock, seconds(60));
    expect(keys(rig)).toEqual(["a/etcd", "a/grpc"]);
  });
});

describe("several sources", () => {
  test("resync alone: one's whole state says nothing about another's values", async () => {
    const rig = restarted(expected);
    await rig.s.transact(etcd);
    await rig.s.transact(grpc);
    await rig.s.transact({ source: "etcd", resync: "full", changes: [] });
    expect(keys(rig)).toEqual(["a/grpc"]);
    await rig.s.transact({ source: "etcd", resync: "upstream", changes: [["a/other", { v: 2 }]] });
    expect(keys(rig)).toEqual(["a/grpc", "a/other"]);
  });

  test("have precedence, and deleting from one uncovers the other", async () => {
    const rig = restarted({ sources: { high: { precedence: 1 } }, precedence: { low: -1 } });
    const v = (): unknown => rig.southbound.values().get("a/1");
    await rig.s.transact({ source: "high", changes: [["a/1", { v: "high" }]] });
    await rig.s.transact({ source: "low", changes: [["a/1", { v: "low" }]] });
    await rig.s.transact({ changes: [["a/1", { v: "default" }]] });
    expect(v()).toBe("high");
    await rig.s.transact({ source: "high", changes: [["a/1", undefined]] });
    expect(v()).toBe("default");
    await rig.s.transact({ changes: [["a/1", undefined]] });
    expect(v()).toBe("low");
    await rig.s.transact({ source: "low", changes: [["a/1", undefined]] });
    expect(v()).toBeUndefined();
  });
});
