import { describe, expect, test } from "vitest";
import type { StatusNews } from "../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../src/kvscheduler/scheduler.ts";
import { plain } from "../../support/kvscheduler/plain.ts";

describe("watchStatus", () => {
  test("tells changes in order, filtered, until it is closed", async () => {
    const s = createScheduler();
    s.register(plain("a", { dependencies: (key) => (key === "a/1" ? [{ label: "two", key: "a/2" }] : []) }));
    s.register(plain("b"));
    const watch = s.watchStatus({ prefix: "a/" });
    await s.transact({
      changes: [
        ["a/1", 1],
        ["b/1", 1],
      ],
    });
    await s.transact({ changes: [["a/2", 1]] });
    watch.close();
    await s.transact({ changes: [["a/3", 1]] });
    const seen: string[] = [];
    for await (const news of watch) seen.push(text(news));
    expect(seen).toEqual(["a/1 NONEXISTENT -> PENDING", "a/2 NONEXISTENT -> CONFIGURED", "a/1 PENDING -> CONFIGURED"]);
  });

  test("a slow watcher is told what it missed, where it missed it", async () => {
    const s = createScheduler();
    s.register(plain("a"));
    const watch = s.watchStatus({}, { bound: 2 });
    for (let i = 0; i < 5; i++) await s.transact({ changes: [[`a/${i}`, 1]] });
    const seen = [
      text((await watch.next()).value!),
      text((await watch.next()).value!),
      text((await watch.next()).value!),
    ];
    await s.transact({ changes: [["a/9", 1]] });
    seen.push(text((await watch.next()).value!));
    expect(seen).toEqual([
      "a/0 NONEXISTENT -> CONFIGURED",
      "a/1 NONEXISTENT -> CONFIGURED",
      "missed 3: a/2 a/3 a/4",
      "a/9 NONEXISTENT -> CONFIGURED",
    ]);
  });

  test("reports removed derived values once, and ends when the scheduler closes", async () => {
    const s = createScheduler();
    s.register(plain("a", { derived: (_, v) => (v === 1 ? [{ key: "p/1", value: 1 }] : []), update: () => 0 }));
    await s.transact({ changes: [["a/1", 1]] });
    const watch = s.watchStatus();
    await s.transact({ changes: [["a/1", 2]] });
    await s.close();
    const seen: string[] = [];
    for await (const news of watch) seen.push(text(news));
    expect(seen).toEqual(["p/1 CONFIGURED -> REMOVED"]);
  });

  function text({ event, missed }: StatusNews): string {
    if (missed !== undefined) return `missed ${missed.count}: ${missed.keys.join(" ")}`;
    return `${event.status.key} ${event.previous} -> ${event.status.state}`;
  }
});
