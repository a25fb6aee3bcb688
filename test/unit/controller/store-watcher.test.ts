import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ControllerEvent, isResync, isStoreEvent, type StoreEvent } from "../../../src/controller/api.ts";
import { healingEvent } from "../../../src/controller/controller.ts";
import { resyncEvent, StoreWatcher } from "../../../src/controller/store-watcher.ts";
import type { Entry, StoreChange, WatchItem } from "../../../src/stores/api/store.ts";
import { FakeQueue } from "../../support/controller/fakes.ts";

const entry = (key: string, revision: number): Entry => ({
  key,
  value: Buffer.from(String(revision)),
  revision: String(revision),
});

const change = (key: string, old: number | undefined, now: number | undefined): StoreChange => ({
  key,
  old: old === undefined ? undefined : entry(key, old),
  new: now === undefined ? undefined : entry(key, now),
});

const snapshot = (...changes: StoreChange[]): WatchItem => ({
  kind: "snapshot",
  entries: changes.flatMap((c) => c.new ?? []),
  changes,
});
const changes = (...list: StoreChange[]): WatchItem => ({ kind: "changes", changes: list });

/** What the watcher made of the items. */
async function follow(...items: WatchItem[]) {
  const queue = new FakeQueue();
  const watcher = new StoreWatcher(queue);
  await watcher.follow(
    (async function* () {
      yield* items;
    })(),
  );
  return { watcher, events: queue.pushed };
}

/** `key old→new` of each change. */
const shown = (event: ControllerEvent | undefined): string[] =>
  (event as StoreEvent).changes.map((c) => `${c.key} ${c.old?.revision ?? "-"}→${c.new?.revision ?? "-"}`);

describe("the watcher", () => {
  it("makes a resync of the first snapshot and changes of what follows", async () => {
    const { events, watcher } = await follow(
      snapshot(change("a", undefined, 1)),
      changes(change("b", undefined, 2), change("a", 1, undefined)),
    );
    expect(events.map((e) => e.describe())).toEqual(["resync: start", "store: b and 1 more"]);
    expect(shown(events[1])).toEqual(["b -→2", "a 1→-"]);
    expect([...watcher.entries.keys()]).toEqual(["b"]);
  });

  it("resyncs also when the store is empty", async () => {
    const { events } = await follow(snapshot());
    expect(events.map((e) => e.kind)).toEqual(["resync"]);
  });

  it("makes changes of a later snapshot, and nothing of one that differs in nothing", async () => {
    const { events } = await follow(
      snapshot(change("a", undefined, 1)),
      { kind: "snapshot", entries: [entry("a", 1)], changes: [] },
      { kind: "snapshot", entries: [entry("a", 5)], changes: [change("a", 1, 5)] },
    );
    expect(events.map((e) => e.kind)).toEqual(["resync", "store"]);
    expect(shown(events[1])).toEqual(["a 1→5"]);
  });

  it("gives a resync the entries as they are when it is handled", async () => {
    const { events } = await follow(snapshot(change("a", undefined, 1)), changes(change("a", 1, 2)));
    const [first] = events;
    expect(first && isResync(first) && first.entries.get("a")?.revision).toBe("2");
  });
});

describe("changes that wait", () => {
  it("are merged by key, from what was delivered last to what is now", async () => {
    const { events } = await follow(
      snapshot(),
      changes(change("a", undefined, 1), change("b", 3, 4)),
      changes(change("a", 1, 2), change("b", 4, undefined), change("c", undefined, 9)),
    );
    const [, first, second] = events;
    expect(second && first?.absorb?.(second)).toBe(true);
    expect(shown(first)).toEqual(["a -→2", "b 3→-", "c -→9"]);
  });

  it("leave out what came and went in between", async () => {
    const { events } = await follow(snapshot(), changes(change("a", undefined, 1)), changes(change("a", 1, undefined)));
    const [, first, second] = events;
    expect(second && first?.absorb?.(second)).toBe(true);
    expect(shown(first)).toEqual([]);
  });

  it("are part of a resync that waits before them, and join nothing else", async () => {
    const { events } = await follow(snapshot(), changes(change("a", undefined, 1)));
    const [, some] = events as [ControllerEvent, ControllerEvent];
    expect(resyncEvent("again", new Map()).absorb?.(some)).toBe(true);
    expect(resyncEvent("again", new Map()).absorb?.(resyncEvent("start", new Map()))).toBe(true);
    expect(resyncEvent("again", new Map()).absorb?.(healingEvent("x"))).toBe(false);
    expect(some.absorb?.(resyncEvent("start", new Map()))).toBe(false);
  });

  it("say the same merged as one after the other", async () => {
    const writes = fc.array(fc.tuple(fc.constantFrom("a", "b", "c"), fc.boolean()), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.array(writes, { minLength: 2, maxLength: 6 }), async ([initial = [], ...batches]) => {
        const store = new Map<string, number>();
        let revision = 0;
        const write = (batch: typeof initial): StoreChange[] => {
          const old = new Map(store);
          for (const [key, put] of batch) {
            if (put) store.set(key, ++revision);
            else store.delete(key);
          }
          const keys = [...new Set([...old.keys(), ...store.keys()])].filter((k) => old.get(k) !== store.get(k));
          return keys.map((k) => change(k, old.get(k), store.get(k)));
        };
        const first = snapshot(...write(initial));
        const before = new Map(store);
        const { events } = await follow(first, ...batches.map((batch) => changes(...write(batch))));
        const [, merged, ...rest] = events;
        for (const event of rest) expect(merged?.absorb?.(event)).toBe(true);
        const after = new Map(before);
        for (const { key, old, new: now } of merged && isStoreEvent(merged) ? merged.changes : []) {
          expect(old?.revision).toBe(before.get(key)?.toString());
          expect(old ?? now).toBeDefined();
          if (now) after.set(key, Number(now.revision));
          else after.delete(key);
        }
        expect(after).toEqual(store);
      }),
    );
  });
});
