import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Entry, WatchItem } from "../../../src/stores/api/store.ts";
import { Feed } from "../../../src/stores/common/feed.ts";
import { WatchLog } from "../../support/watch-log.ts";

const entry = (key: string, revision: number, value = `${revision}`): Entry => ({
  key,
  revision: String(revision),
  value: Buffer.from(value),
});
const make = (clock = new ManualClock(), confirmFor?: number) =>
  new Feed({ clock, onClose: () => undefined, ...(confirmFor !== undefined && { confirmFor: millis(confirmFor) }) });
const next = async (items: AsyncIterator<WatchItem, void>) => (await items.next()).value as WatchItem;
const brief = (item: WatchItem) => item.changes.map((c) => [c.key, c.old?.revision, c.new?.revision]);

describe("Feed", () => {
  it("yields nothing before the first snapshot, and later changes within it", async () => {
    const feed = make();
    const items = feed[Symbol.asyncIterator]();
    feed.changes([["early", entry("early", 1)]]);
    feed.snapshot([entry("b", 2), entry("a", 1)], "p1");
    feed.changes([["c", entry("c", 3)]], "p2");
    const item = await next(items);
    expect(item).toMatchObject({ kind: "snapshot", position: "p2" });
    expect(item.kind === "snapshot" && item.entries.map((e) => e.key)).toEqual(["a", "b", "c"]);
  });

  it("delivers of a second snapshot what differs, by revision or by bytes", async () => {
    const feed = make();
    const items = feed[Symbol.asyncIterator]();
    feed.snapshot(["same", "newer", "other", "gone"].map((k) => entry(k, 1)));
    await next(items);
    feed.snapshot([entry("same", 1), entry("newer", 2), entry("other", 1, "x"), entry("new", 3)], "p", {
      rewound: true,
    });
    const item = await next(items);
    expect(item).toMatchObject({ kind: "snapshot", rewound: true });
    expect(brief(item)).toEqual([
      ["newer", "1", "2"],
      ["other", "1", "1"],
      ["new", undefined, "3"],
      ["gone", "1", undefined],
    ]);
  });

  it("replaces one prefix and leaves the others", async () => {
    const feed = make();
    const items = feed[Symbol.asyncIterator]();
    feed.snapshot([entry("a/1", 1), entry("b/1", 1)], undefined, { fromMirror: true });
    expect(await next(items)).toMatchObject({ fromMirror: true });
    feed.snapshot([entry("a/2", 2)], undefined, {}, "a/");
    const item = await next(items);
    expect(item).not.toHaveProperty("fromMirror");
    expect(brief(item)).toEqual([
      ["a/2", undefined, "2"],
      ["a/1", "1", undefined],
    ]);
  });

  it("merges to the states a consumer must end in, whatever comes while it is slow", async () => {
    const keys = ["a", "b", "c"];
    const step = fc.oneof(
      fc.record({ op: fc.constant("put" as const), key: fc.constantFrom(...keys) }),
      fc.record({ op: fc.constant("delete" as const), key: fc.constantFrom(...keys) }),
      fc.record({ op: fc.constant("snapshot" as const), keep: fc.subarray(keys) }),
      fc.record({ op: fc.constant("consume" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const feed = make();
        const gate: (() => void)[] = [];
        const log = new WatchLog(feed, () => new Promise<void>((resolve) => gate.push(resolve)));
        const model = new Map<string, Entry>();
        let revision = 0;
        feed.snapshot([]);
        for (const s of steps) {
          revision++;
          if (s.op === "put") {
            model.set(s.key, entry(s.key, revision));
            feed.changes([[s.key, model.get(s.key)]]);
          } else if (s.op === "delete") {
            model.delete(s.key);
            feed.changes([[s.key, undefined]]);
          } else if (s.op === "snapshot") {
            for (const k of keys) if (!s.keep.includes(k)) model.delete(k);
            feed.snapshot(model.values());
          } else {
            gate.shift()?.();
            await new Promise((resolve) => setImmediate(resolve));
          }
        }
        feed.changes([["end", entry("end", revision + 1)]]);
        model.set("end", entry("end", revision + 1));
        while (!log.state.has("end")) {
          gate.shift()?.();
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(log.faults).toEqual([]);
        expect(new Map([...log.state].map(([k, e]) => [k, e.revision]))).toEqual(
          new Map([...model].map(([k, e]) => [k, e.revision])),
        );
        await feed.close();
        for (const open of gate) open();
        await log.done;
      }),
      { numRuns: 200 },
    );
  });

  it("says since when it is stale", () => {
    const clock = new ManualClock();
    const feed = make(clock, 10_000);
    clock.advance(seconds(3));
    expect(feed.staleFor()).toBe(3000);
    feed.confirm();
    clock.advance(seconds(9));
    expect(feed.staleFor()).toBe(0);
    clock.advance(seconds(2)); // nothing heard for too long
    expect(feed.staleFor()).toBe(11_000);
    feed.confirm();
    clock.advance(seconds(1));
    feed.disconnected();
    expect(feed.staleFor()).toBe(1000);
  });
});
