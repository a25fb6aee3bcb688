import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { Lately } from "../../../src/base/memo/lately.ts";

function lately() {
  const clock = new ManualClock();
  const reads: PromiseWithResolvers<string>[] = [];
  const read = (): Promise<string> => {
    const one = Promise.withResolvers<string>();
    reads.push(one);
    return one.promise;
  };
  return { clock, reads, value: new Lately({ read, clock, patience: seconds(2) }) };
}

it("is read once for those who ask together, and anew for those who ask later", async () => {
  const { clock, reads, value } = lately();
  const asked = [value.get(), value.get()];
  reads[0]?.resolve("one");
  expect(await Promise.all(asked)).toEqual(["one", "one"]);
  const later = value.get();
  reads[1]?.resolve("two");
  expect(await later).toBe("two");
  expect(reads).toHaveLength(2);
  expect(clock.pending).toBe(0);
});

it("is what was read last when it takes too long, and is not asked for again meanwhile", async () => {
  const { clock, reads, value } = lately();
  const never = value.get();
  clock.advance(seconds(2));
  expect(await never).toBeUndefined();
  const first = value.get();
  reads[0]?.resolve("one");
  expect(await first).toBe("one");
  const slow = value.get();
  clock.advance(seconds(2));
  expect(await slow).toBe("one");
  const slower = value.get();
  expect(reads).toHaveLength(2);
  reads[1]?.resolve("two");
  expect(await slower).toBe("two");
});

it("fails for those who wait, and is read again for the next one", async () => {
  const { clock, reads, value } = lately();
  const failed = value.get();
  reads[0]?.reject(new Error("no"));
  await expect(failed).rejects.toThrow("no");
  const late = value.get();
  clock.advance(seconds(2));
  expect(await late).toBeUndefined();
  reads[1]?.reject(new Error("too late for anybody"));
  await nextTurn();
  const next = value.get();
  reads[2]?.resolve("one");
  expect([await next, reads.length]).toEqual(["one", 3]);
});
