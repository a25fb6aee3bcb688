import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import type { Entry, Position, Store, Watch } from "../../../src/stores/api/store.ts";
import { Feed } from "../../../src/stores/common/feed.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { Mirror, type MirrorOptions, type Suspicion } from "../../../src/stores/mirror/mirror.ts";
import { until } from "../../support/until.ts";
import { WatchLog } from "../../support/watch-log.ts";

let dir: string;
let path: string;
let clock: ManualClock;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "hdmirror-"));
  path = join(dir, "mirror.db");
  clock = new ManualClock();
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A store of which the test plays the part of the network. */
class PlayedStore implements Pick<Store, "snapshotAndWatch"> {
  readonly feeds = new Map<string, Feed>();
  readonly seen = new Map<string, Position | undefined>();

  snapshotAndWatch(prefix: string, options: { seen?: Position } = {}): Watch {
    const feed = new Feed({ clock, onClose: () => undefined });
    this.feeds.set(prefix, feed);
    this.seen.set(prefix, options.seen);
    return feed;
  }

  answer(prefix: string, entries: Entry[], position = "p", rewound = false): void {
    this.feeds.get(prefix)?.snapshot(entries, position, { rewound });
    this.feeds.get(prefix)?.confirm();
  }
}

const entry = (key: string, revision: number): Entry => ({
  key,
  revision: String(revision),
  value: Buffer.from(`${key}@${revision}`),
});
const open = (store: PlayedStore, more: Partial<MirrorOptions> = {}) =>
  Mirror.open({ store, prefixes: ["/a/", "/b/"], path, clock, ...more });
const settle = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};
const briefly = (log: WatchLog) =>
  log.items.map((i) => [
    i.kind,
    i.kind === "snapshot" && i.fromMirror === true,
    i.changes.map((c) => `${c.key} ${c.old?.revision ?? "-"} ${c.new?.revision ?? "-"}`).sort(),
  ]);

/** Leaves behind a mirror that has known both prefixes. */
async function filled(): Promise<void> {
  const store = new PlayedStore();
  const mirror = await open(store);
  const log = new WatchLog(mirror);
  store.answer("/a/", [entry("/a/1", 1), entry("/a/2", 2)], "p1");
  store.answer("/b/", [entry("/b/1", 3)], "p2");
  await until("all is there", () => log.state.size === 3);
  store.feeds.get("/a/")?.changes([["/a/3", entry("/a/3", 4)]], "p3");
  await until("the change is there", () => log.state.size === 4);
  await settle();
  await mirror.close();
}

describe("Mirror", () => {
  it("begins with the store when it answers for all prefixes, in one item", async () => {
    const store = new PlayedStore();
    await using mirror = await open(store);
    const log = new WatchLog(mirror);
    store.answer("/a/", [entry("/a/1", 1)]);
    await settle();
    expect(log.items).toHaveLength(0);
    store.answer("/b/", []);
    await until("the first item", () => log.items.length > 0);
    store.feeds.get("/b/")?.changes([["/b/1", entry("/b/1", 2)]]);
    await until("the second item", () => log.items.length > 1);
    expect(briefly(log)).toEqual([
      ["snapshot", false, ["/a/1 - 1"]],
      ["changes", false, ["/b/1 - 2"]],
    ]);
    expect(mirror.staleFor()).toBe(0);
  });

  it("begins with what was known when the store is away, then delivers only differences", async () => {
    await filled();
    const store = new PlayedStore();
    await using mirror = await open(store);
    const log = new WatchLog(mirror);
    expect([...store.seen]).toEqual([
      ["/a/", "p3"],
      ["/b/", "p2"],
    ]);
    await settle();
    expect(log.items).toHaveLength(0);
    clock.advance(seconds(2));
    await until("the mirror's snapshot", () => log.items.length > 0);
    expect(mirror.staleFor()).toBe(2000);
    store.answer("/a/", [entry("/a/1", 1), entry("/a/2", 5)]);
    await until("the differences", () => log.items.length > 1);
    store.answer("/b/", [entry("/b/1", 3)]);
    await until("the store is back", () => mirror.staleFor() === 0);
    await until("the last snapshot", () => log.items.length > 2);
    expect(briefly(log)).toEqual([
      ["snapshot", true, ["/a/1 - 1", "/a/2 - 2", "/a/3 - 4", "/b/1 - 3"]],
      ["snapshot", true, ["/a/2 2 5", "/a/3 4 -"]],
      ["snapshot", false, []],
    ]);
    expect(log.faults).toEqual([]);
  });

  it("takes the store's answer for one prefix and the mirror's for the other", async () => {
    await filled();
    const store = new PlayedStore();
    await using mirror = await open(store);
    const log = new WatchLog(mirror);
    store.answer("/b/", [entry("/b/9", 9)]);
    await settle();
    clock.advance(seconds(2));
    await until("the first item", () => log.items.length > 0);
    expect(briefly(log)).toEqual([["snapshot", true, ["/a/1 - 1", "/a/2 - 2", "/a/3 - 4", "/b/9 - 9"]]]);
  });

  it("waits for the store as long as it takes when nothing was ever known", async () => {
    const store = new PlayedStore();
    await using mirror = await open(store);
    const log = new WatchLog(mirror);
    clock.advance(seconds(600));
    store.answer("/a/", []);
    await settle();
    expect(log.items).toHaveLength(0);
    store.answer("/b/", []);
    await until("the first item", () => log.items.length > 0);
    expect(briefly(log)).toEqual([["snapshot", false, []]]);
  });

  it("takes a store that lost its data as it is, and raises suspicion", async () => {
    await filled();
    const suspicions: Suspicion[] = [];
    const store = new PlayedStore();
    await using mirror = await open(store, { onSuspicion: (s) => suspicions.push(s) });
    const log = new WatchLog(mirror);
    store.answer("/a/", [], "p", true);
    store.answer("/b/", [entry("/b/1", 3)]);
    await until("the first item", () => log.items.length > 0);
    expect(log.snapshots[0]).toMatchObject({ rewound: true });
    expect([...log.state.keys()]).toEqual(["/b/1"]);
    expect(suspicions).toEqual([
      { prefix: "/a/", kind: "rewound", had: 3, has: 0 },
      { prefix: "/a/", kind: "emptied", had: 3, has: 0 },
    ]);
  });

  it("sets a damaged file aside, reports it, and begins anew", async () => {
    await filled();
    writeFileSync(path, "garbage\n".repeat(1000));
    const reports: string[] = [];
    const store = new PlayedStore();
    await using mirror = await open(store, { onDamage: (e, movedTo) => reports.push(`${e.code} ${movedTo}`) });
    expect(reports).toEqual([`CORRUPT ${path}.damaged-${clock.wall()}`]);
    expect(readdirSync(dir).filter((f) => f.includes("damaged"))).toHaveLength(1);
    const log = new WatchLog(mirror);
    store.answer("/a/", [entry("/a/1", 1)]);
    store.answer("/b/", []);
    await until("the first item", () => log.items.length > 0);
  });

  it("mirrors ten thousand entries of a real store, and has them after a restart", async () => {
    const prefixes = ["/a/"];
    {
      await using store = await EmbeddedStore.open();
      const writes = Array.from({ length: 10_000 }, (_, i) => ({
        op: "put" as const,
        key: `/a/${i}`,
        value: Buffer.from(`value ${i}`),
      }));
      await store.bulk(writes);
      const mirror = await Mirror.open({ store, prefixes, path });
      const log = new WatchLog(mirror);
      await until("all is there", () => log.state.size === 10_000);
      await store.put("/a/last", Buffer.from("x"));
      await until("the last is there", () => log.state.has("/a/last"));
      await mirror.close();
    }
    const store = new PlayedStore();
    await using mirror = await open(store, { prefixes });
    const log = new WatchLog(mirror);
    await settle();
    clock.advance(seconds(2));
    await until("the mirror's snapshot", () => log.items.length > 0);
    expect(log.state.size).toBe(10_001);
    expect(log.values["/a/1234"]).toBe("value 1234");
  });
});
