import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { KeptLease } from "../../../src/stores/common/kept-lease.ts";

function setup(renew: (signal: AbortSignal) => Promise<boolean>) {
  const clock = new ManualClock();
  const renewals: number[] = [];
  let lostAt: number | undefined;
  let ended = 0;
  const lease = new KeptLease({
    id: "1",
    ttl: 9,
    clock,
    grantedAt: 0,
    renew: (signal) => {
      renewals.push(clock.now());
      return renew(signal);
    },
    revoke: () => Promise.resolve(),
    onEnd: () => ended++,
  });
  void lease.lost.then(() => (lostAt = clock.now()));
  return { clock, lease, renewals, lostAt: () => lostAt, ended: () => ended };
}

describe("KeptLease", () => {
  it("is renewed every third of its time", async () => {
    const t = setup(() => Promise.resolve(true));
    await t.clock.advanceAsync(seconds(30), millis(100));
    expect(t.renewals).toEqual([3, 6, 9, 12, 15, 18, 21, 24, 27, 30].map((s) => s * 1000));
    expect(t.lostAt()).toBeUndefined();
    await t.lease.abandon();
    expect(t.ended()).toBe(1);
  });

  it("is lost at once when the store says so", async () => {
    const t = setup(() => Promise.resolve(false));
    await t.clock.advanceAsync(seconds(30), millis(100));
    expect(t.renewals).toEqual([3000]);
    expect(t.lostAt()).toBe(3000);
  });

  it("is tried more often when a renewal fails, and kept when one succeeds in time", async () => {
    let calls = 0;
    const t = setup(() => (++calls < 5 ? Promise.reject(new Error("away")) : Promise.resolve(true)));
    await t.clock.advanceAsync(seconds(20), millis(100));
    expect(t.renewals.slice(0, 6)).toEqual([3000, 3600, 4200, 4800, 5400, 8400]);
    expect(t.lostAt()).toBeUndefined();
    await t.lease.abandon();
  });

  it("is lost when its time passes without a renewal, also while one hangs", async () => {
    const t = setup(
      (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    );
    await t.clock.advanceAsync(seconds(20), millis(100));
    expect(t.renewals).toEqual([3000]);
    expect(t.lostAt()).toBe(9000);
    expect(t.ended()).toBe(1);
  });

  it("counts a revoked lease as lost, and renews it no more", async () => {
    const t = setup(() => Promise.resolve(true));
    await t.lease.revoke();
    await t.lease.lost;
    await t.clock.advanceAsync(seconds(20), millis(500));
    expect(t.renewals).toEqual([]);
  });
});
