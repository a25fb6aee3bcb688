import { describe, expect, test } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { VerificationError } from "../../../src/kvscheduler/api/errors.ts";
import type { Scheduler, TxnResult } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { MockSouthbound } from "../../support/kvscheduler/mock-southbound.ts";

interface Rig {
  readonly s: Scheduler;
  readonly southbound: MockSouthbound;
  readonly clock: ManualClock;
}

function rig(verify = true): Rig {
  const southbound = new MockSouthbound();
  const clock = new ManualClock();
  const s = createScheduler({ clock, verify, random: () => 0.5 });
  s.register(southbound.descriptor("a"));
  s.register(southbound.descriptor("b", { retrieveOne: true }));
  s.register(southbound.descriptor("blind", { retrieve: false }));
  return { s, southbound, clock };
}

function codes({ errors }: TxnResult): (readonly [string, string])[] {
  return [...errors].map(([key, e]) => [key, e instanceof VerificationError ? e.code : e.message] as const);
}

describe("verification", () => {
  test("believes what is so, and reads only the keys that changed", async () => {
    const { s, southbound } = rig();
    await s.transact({ changes: [["b/2", { v: 1 }]] });
    southbound.takeOps();
    expect(
      codes(
        await s.transact({
          changes: [
            ["a/1", { v: 1 }],
            ["b/1", { v: 1 }],
          ],
        }),
      ),
    ).toEqual([]);
    expect(southbound.takeOps()).toEqual(["create a/1", "create b/1", "read b/1", "retrieve a"]);
  });

  test("finds a value that was reported as made and is not there, and what needs it waits", async () => {
    const { s, southbound } = rig();
    southbound.fail("a/1", "lie");
    const result = await s.transact({
      changes: [
        ["a/1", { v: 1 }],
        ["a/2", { v: 1 }],
        ["b/1", { v: 1, deps: [{ label: "a", key: "a/1" }] }],
      ],
    });
    expect(codes(result)).toEqual([["a/1", "EXPECTED_TO_EXIST"]]);
    expect(s.status("a/1").state).toBe("FAILED");
    expect(s.status("a/2").state).toBe("CONFIGURED");
    expect(s.status("b/1").state).toBe("PENDING");
    expect(southbound.values()).toEqual(new Map([["a/2", 1]]));
    const op = result.record.executed.find((o) => o.key === "a/1");
    expect(op?.error).toBe("a/1 was reported as done, and is not there");
  });

  test("finds a value that is there with another value than was reported", async () => {
    const { s, southbound } = rig();
    await s.transact({ changes: [["b/1", { v: 1 }]] });
    southbound.fail("b/1", "lie");
    expect(codes(await s.transact({ changes: [["b/1", { v: 2 }]] }))).toEqual([["b/1", "NOT_EQUIVALENT"]]);
    expect(s.dump("cached")).toMatchObject([{ key: "b/1", value: { v: 1 } }]);
  });

  test("finds a value that was reported as removed and is still there", async () => {
    const { s, southbound } = rig();
    await s.transact({ changes: [["a/1", { v: 1 }]] });
    southbound.fail("a/1", "lie");
    expect(codes(await s.transact({ changes: [["a/1", undefined]] }))).toEqual([["a/1", "EXPECTED_TO_NOT_EXIST"]]);
    expect(s.status("a/1").state).toBe("FAILED");
    expect(codes(await s.transact({ changes: [["a/1", undefined]] })), "asked again").toEqual([]);
    expect(southbound.stored.size).toBe(0);
  });

  test("lets what it finds be repeated like any failure", async () => {
    const { s, southbound, clock } = rig();
    southbound.fail("a/1", "lie");
    const retry = { first: seconds(1), max: seconds(1), attempts: 3 };
    await s.transact({ changes: [["a/1", { v: 1 }]], retry });
    expect(s.status("a/1").state).toBe("RETRYING");
    await clock.advanceAsync(seconds(2));
    await clock.advanceAsync(seconds(2));
    expect(s.status("a/1").state).toBe("CONFIGURED");
  });

  test("makes an atomic transaction undo what it has done", async () => {
    const { s, southbound } = rig();
    await s.transact({ changes: [["b/1", { v: 1 }]] });
    southbound.fail("a/1", "lie");
    const result = await s.transact({
      mode: "atomic",
      changes: [
        ["a/1", { v: 1 }],
        ["b/1", { v: 2 }],
      ],
    });
    expect(codes(result)).toEqual([["a/1", "EXPECTED_TO_EXIST"]]);
    expect(southbound.values()).toEqual(new Map([["b/1", 1]]));
    expect(s.status("a/1").state).toBe("NONEXISTENT");
  });

  test("takes kinds that cannot be read at their word", async () => {
    const { s, southbound } = rig();
    southbound.fail("blind/1", "lie");
    expect(codes(await s.transact({ changes: [["blind/1", { v: 1 }]] }))).toEqual([]);
  });

  test("is off by default: the lie is found by the next resync", async () => {
    const { s, southbound } = rig(false);
    southbound.fail("a/1", "lie");
    expect(codes(await s.transact({ changes: [["a/1", { v: 1 }]] }))).toEqual([]);
    expect(s.status("a/1").state).toBe("CONFIGURED");
    await s.transact({ resync: "downstream" });
    expect(southbound.values()).toEqual(new Map([["a/1", 1]]));
  });
});
