import { expect, test } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { Deadlines, type Timed } from "../../../src/kvscheduler/txn/deadlines.ts";

function timed(name: string, expired: string[]): Timed {
  return { dueAt: 0, previous: undefined, next: undefined, expire: () => expired.push(name) };
}

test("each call expires at its own deadline, with one timer for each length", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  deadlines.add(timed("a", expired), millis(100), clock.now());
  clock.advance(millis(40));
  deadlines.add(timed("b", expired), millis(100), clock.now());
  deadlines.add(timed("short", expired), millis(10), clock.now());
  expect(clock.pending).toBe(2);
  clock.advance(millis(10));
  expect(expired).toEqual(["short"]);
  clock.advance(millis(50));
  expect(expired).toEqual(["short", "a"]);
  clock.advance(millis(39));
  expect(expired).toEqual(["short", "a"]);
  clock.advance(millis(1));
  expect(expired).toEqual(["short", "a", "b"]);
  expect(clock.pending).toBe(0);
});

test("what has ended does not expire, wherever it stands in the list", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const expired: string[] = [];
  const items = ["a", "b", "c", "d"].map((name) => timed(name, expired));
  for (const item of items) deadlines.add(item, millis(100), clock.now());
  deadlines.remove(items[1]!, millis(100));
  deadlines.remove(items[0]!, millis(100));
  deadlines.remove(items[3]!, millis(100));
  deadlines.remove(items[3]!, millis(100));
  clock.advance(millis(100));
  expect(expired).toEqual(["c"]);
});
