import { expect, it } from "vitest";
import type { StoreChange } from "../../../src/stores/api/store.ts";
import type { SuiteContext } from "../store-compliance.ts";
import { WatchLog } from "../watch-log.ts";
import { bytes, put, text } from "./calls.ts";

/** Watches of a store that is well. */
export function watchTests(context: () => SuiteContext): void {
  it("watches: a snapshot in key order, then each change once, in order, with what was before", async () => {
    const { store, prefix } = context();
    const p = prefix();
    await store.bulk([put(`${p}b`, "1"), put(`${p}a`, "1"), put(`${p}ü`, "1")]);
    await using watch = store.snapshotAndWatch(p);
    const log = new WatchLog(watch);
    await log.reaches({ [`${p}a`]: "1", [`${p}b`]: "1", [`${p}ü`]: "1" });
    expect(log.snapshots[0]?.entries.map((e) => e.key)).toEqual([`${p}a`, `${p}b`, `${p}ü`]);
    await store.put(`${p}c`, bytes("2"));
    await log.reaches({ [`${p}a`]: "1", [`${p}b`]: "1", [`${p}c`]: "2", [`${p}ü`]: "1" });
    await store.put(`${p}a`, bytes("3"));
    await log.reaches({ [`${p}a`]: "3", [`${p}b`]: "1", [`${p}c`]: "2", [`${p}ü`]: "1" });
    await store.delete(`${p}b`);
    await log.reaches({ [`${p}a`]: "3", [`${p}c`]: "2", [`${p}ü`]: "1" });
    expect(log.changes.slice(3).map((c) => [c.key, text(c.old?.value), text(c.new?.value)])).toEqual([
      [`${p}c`, undefined, "2"],
      [`${p}a`, "1", "3"],
      [`${p}b`, "1", undefined],
    ]);
    expect(watch.staleFor()).toBe(0);
    expect(log.faults).toEqual([]);
  });

  it("watches its prefix only", async () => {
    const { store, prefix } = context();
    const p = prefix();
    await using watch = store.snapshotAndWatch(`${p}x/`);
    const log = new WatchLog(watch);
    await log.reaches({});
    await store.put(`${p}x`, bytes("1"));
    await store.put(`${p}x0`, bytes("1"));
    await store.put(`${p}x/y`, bytes("1"));
    await log.reaches({ [`${p}x/y`]: "1" });
    expect(log.changes).toHaveLength(1);
  });

  it("delivers a transaction's changes in one item", async () => {
    const { store, prefix } = context();
    const p = prefix();
    await store.put(`${p}old`, bytes("1"));
    await using watch = store.snapshotAndWatch(p);
    const log = new WatchLog(watch);
    await log.reaches({ [`${p}old`]: "1" });
    const keys = Array.from({ length: 100 }, (_, i) => `${p}${i}`);
    await store.txn([], [...keys.map((k) => put(k, "x")), { op: "delete", key: `${p}old` }]);
    await log.reaches(Object.fromEntries(keys.map((k) => [k, "x"])));
    expect(log.items.map((i) => i.changes.length)).toEqual([1, 101]);
  });

  it("merges what waits for a slow consumer per key, relative to what it was given", async () => {
    const { store, prefix } = context();
    const p = prefix();
    await store.put(`${p}a`, bytes("0"));
    await store.put(`${p}gone`, bytes("0"));
    await using watch = store.snapshotAndWatch(p);
    const items = watch[Symbol.asyncIterator]();
    await items.next();
    for (let i = 1; i <= 50; i++) await store.put(`${p}a`, bytes(String(i)));
    await store.put(`${p}brief`, bytes("x"));
    await store.delete(`${p}brief`);
    await store.delete(`${p}gone`);
    await store.put(`${p}last`, bytes("x"));
    // What was written last arrives last; whatever the store has sent by then was merged.
    const changes: StoreChange[] = [];
    while (!changes.some((c) => c.key === `${p}last`)) changes.push(...((await items.next()).value?.changes ?? []));
    const ofA = changes.filter((c) => c.key === `${p}a`);
    expect(text(ofA[0]?.old?.value)).toBe("0");
    expect(text(ofA.at(-1)?.new?.value)).toBe("50");
    for (const [i, c] of ofA.entries()) if (i > 0) expect(c.old).toBe(ofA[i - 1]?.new);
    expect(changes.filter((c) => c.key === `${p}gone`)).toMatchObject([{ new: undefined }]);
    await items.return?.(undefined);
  });

  it("misses and repeats nothing when a watch starts amid writes", async () => {
    const { store, fixture, prefix } = context();
    const p = prefix();
    const expected: Record<string, string> = {};
    let logs: WatchLog[] = [];
    const other = await fixture.open();
    const watches = [];
    for (let i = 0; i < 300; i++) {
      const key = `${p}${i % 17}`;
      const writer = i % 3 ? store : other;
      if (i % 11 === 10) {
        await writer.delete(key);
        delete expected[key];
      } else {
        await writer.put(key, bytes(String(i)));
        expected[key] = String(i);
      }
      if (i % 50 === 20) {
        const watch = (i % 100 === 20 ? store : other).snapshotAndWatch(p);
        watches.push(watch);
        logs = [...logs, new WatchLog(watch)];
      }
    }
    for (const log of logs) {
      await log.reaches(expected);
      expect(log.faults).toEqual([]);
    }
    for (const watch of watches) await watch.close();
    await other.close();
  });

  it("ends a watch by close, by leaving the loop, and by its signal's reason", async () => {
    const { store, prefix } = context();
    const p = prefix();
    const closed = store.snapshotAndWatch(p);
    const log = new WatchLog(closed);
    await log.reaches({});
    await closed.close();
    await log.done;
    expect(log.error).toBeUndefined();

    const left = store.snapshotAndWatch(p);
    for await (const item of left) {
      expect(item.kind).toBe("snapshot");
      break;
    }
    await left.close();

    const controller = new AbortController();
    const aborted = store.snapshotAndWatch(p, { signal: controller.signal });
    const abortedLog = new WatchLog(aborted);
    await abortedLog.reaches({});
    const reason = new Error("enough");
    controller.abort(reason);
    await abortedLog.done;
    expect(abortedLog.error).toBe(reason);
  });

  it("says where in history an item is, and that nothing went back", async () => {
    const { store, prefix } = context();
    const p = prefix();
    let position: string | undefined;
    await store.put(`${p}a`, bytes("1"));
    for await (const item of store.snapshotAndWatch(p)) {
      position = item.position;
      break;
    }
    expect(position).toBeTypeOf("string");
    for await (const item of store.snapshotAndWatch(p, { seen: position as string })) {
      expect(item).not.toHaveProperty("rewound");
      break;
    }
  });
}
