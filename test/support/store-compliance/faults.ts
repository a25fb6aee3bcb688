import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Store } from "../../../src/stores/api/store.ts";
import { type RemoteFixture, type SuiteContext, TEST_REQUEST_TIMEOUT_MS } from "../store-compliance.ts";
import type { TcpProxy } from "../tcp-proxy.ts";
import { until } from "../until.ts";
import { WatchLog } from "../watch-log.ts";
import { bytes, put, storeError, text } from "./calls.ts";

/** Stores behind a socket, when the network or the server fails. */
export function faultTests(context: () => SuiteContext): void {
  const remote = (): RemoteFixture => context().fixture.remote as RemoteFixture;

  async function viaProxy(test: (store: Store, proxy: TcpProxy) => Promise<void>): Promise<void> {
    await using proxy = await remote().proxy();
    const store = await remote().openVia(proxy);
    try {
      await test(store, proxy);
    } finally {
      await store.close();
    }
  }

  /** Repeats a call while the store is unreachable. */
  async function eventually<T>(call: () => Promise<T>): Promise<T> {
    return until("the store answers", async () => {
      try {
        return { value: await call() };
      } catch (e) {
        if ((e as { code?: string }).code === "UNAVAILABLE") return undefined;
        throw e;
      }
    }).then((r) => r.value);
  }

  it("resumes a watch after a disconnect without a gap or a duplicate", async () => {
    const { store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      await direct.bulk([put(`${p}a`, "1"), put(`${p}b`, "1")]);
      await using watch = store.snapshotAndWatch(p);
      const log = new WatchLog(watch);
      await log.reaches({ [`${p}a`]: "1", [`${p}b`]: "1" });
      proxy.refuse();
      await until("the watch knows it is stale", () => watch.staleFor() > 0);
      await direct.put(`${p}a`, bytes("2"));
      await direct.delete(`${p}b`);
      await direct.put(`${p}c`, bytes("1"));
      proxy.allow();
      await log.reaches({ [`${p}a`]: "2", [`${p}c`]: "1" });
      await until("the watch is current", () => watch.staleFor() === 0);
      expect(log.snapshots).toHaveLength(1);
      expect(log.changes.slice(2).map((c) => c.key)).toEqual([`${p}a`, `${p}b`, `${p}c`]);
      expect(log.faults).toEqual([]);
    });
  });

  it("loses and repeats nothing over many disconnects amid writes", { timeout: 60_000 }, async () => {
    const { store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      await using watch = store.snapshotAndWatch(p);
      const log = new WatchLog(watch);
      const expected: Record<string, string> = {};
      let cuts = 0;
      for (let i = 0; i < 400; i++) {
        const key = `${p}${i}`; // each its own: a lost one would stay lost
        await direct.txn([], [put(key, String(i)), put(`${p}twin`, String(i))]);
        expected[key] = String(i);
        if (i % 40 !== 25) continue;
        // One that is not back yet cannot be cut.
        await until("it is connected", () => proxy.accepted > cuts);
        proxy.cut();
        cuts++;
      }
      expected[`${p}twin`] = "399";
      await log.reaches(expected, 20_000);
      expect(log.faults).toEqual([]);
      const twins = log.changes.filter((c) => c.key === `${p}twin`).map((c) => Number(text(c.new?.value)));
      expect(twins).toEqual([...twins].sort((a, b) => a - b));
      expect(proxy.accepted).toBeGreaterThan(9);
    });
  });

  it("answers lost history by a new snapshot, and the differences only", async () => {
    const { fixture, store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      await direct.bulk(["a", "b", "c"].map((k) => put(p + k, "1")));
      await using watch = store.snapshotAndWatch(p);
      const log = new WatchLog(watch);
      await log.reaches({ [`${p}a`]: "1", [`${p}b`]: "1", [`${p}c`]: "1" });
      proxy.refuse();
      await direct.put(`${p}a`, bytes("2"));
      await direct.delete(`${p}b`);
      await direct.put(`${p}d`, bytes("1"));
      await fixture.forgetHistory();
      proxy.allow();
      await log.reaches({ [`${p}a`]: "2", [`${p}c`]: "1", [`${p}d`]: "1" });
      expect(log.snapshots).toHaveLength(2);
      expect(log.snapshots[1]).not.toHaveProperty("rewound");
      expect(log.snapshots[1]?.changes.map((c) => c.key).sort()).toEqual([`${p}a`, `${p}b`, `${p}d`]);
      expect(log.faults).toEqual([]);
    });
  });

  for (const direction of ["toServer", "toClient"] as const) {
    it(`notices a connection that swallows what goes ${direction}, and comes back`, { timeout: 60_000 }, async () => {
      const { store: direct, prefix } = context();
      await viaProxy(async (store, proxy) => {
        const p = prefix();
        await direct.put(`${p}a`, bytes("1"));
        await using watch = store.snapshotAndWatch(p);
        const log = new WatchLog(watch);
        await log.reaches({ [`${p}a`]: "1" });
        proxy.set({ [direction]: "swallow" });
        const asked = performance.now();
        await storeError(store.get(`${p}a`), "UNAVAILABLE");
        expect(performance.now() - asked).toBeLessThan(TEST_REQUEST_TIMEOUT_MS + 1000);
        await direct.put(`${p}a`, bytes("2"));
        await until("the watch knows it is stale", () => watch.staleFor() > 500);
        proxy.set({ [direction]: "pass" });
        await log.reaches({ [`${p}a`]: "2" }, 20_000);
        await until("the watch is current", () => watch.staleFor() === 0);
        await eventually(() => store.get(`${p}a`));
        expect(log.faults).toEqual([]);
      });
    });
  }

  it("rejects a call under way with the reason of its signal", async () => {
    const { prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      await store.ping();
      proxy.set({ toClient: "hold" });
      const controller = new AbortController();
      const reason = new Error("enough");
      const call = store.get(`${p}a`, { signal: controller.signal });
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
    });
  });

  it("works, and is not taken for dead, when every byte takes long", { timeout: 60_000 }, async () => {
    const { store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      await store.ping();
      proxy.set({ toServer: 150, toClient: 150 });
      await using watch = store.snapshotAndWatch(p);
      const log = new WatchLog(watch);
      await eventually(() => store.put(`${p}a`, bytes("1")));
      await log.reaches({ [`${p}a`]: "1" });
      const before = proxy.accepted;
      for (let i = 0; i < 5; i++) await store.put(`${p}a`, bytes(String(i)));
      await direct.put(`${p}b`, bytes("1"));
      await log.reaches({ [`${p}a`]: "4", [`${p}b`]: "1" });
      expect(proxy.accepted).toBe(before);
      expect(log.faults).toEqual([]);
    });
  });

  it("reports a lease as lost when its holder was cut off for its whole time", { timeout: 60_000 }, async () => {
    const { store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      const lease = await store.lease(2);
      await store.put(`${p}held`, bytes("1"), { lease });
      proxy.refuse();
      await lease.lost;
      proxy.allow();
      await until("the entry is gone", async () => (await direct.get(`${p}held`)) === undefined, 10_000);
      await eventually(() => store.ping());
      await storeError(store.put(`${p}held`, bytes("1"), { lease }), "LEASE_LOST");
    });
  });

  it("keeps a lease over a short disconnect", { timeout: 60_000 }, async () => {
    const { store: direct, prefix } = context();
    await viaProxy(async (store, proxy) => {
      const p = prefix();
      const lease = await store.lease(4);
      let lost = false;
      void lease.lost.then(() => (lost = true));
      await store.put(`${p}held`, bytes("1"), { lease });
      proxy.refuse();
      await delay(1500); // within the lease's time
      proxy.allow();
      await delay(5500); // and longer than it
      expect(lost).toBe(false);
      expect(await direct.get(`${p}held`)).toBeDefined();
      await eventually(() => lease.revoke());
    });
  });

  it("has everything it answered after kill -9, and watches go on", { timeout: 60_000 }, async () => {
    const { store, fixture, prefix } = context();
    const p = prefix();
    const watcher = await fixture.open();
    await using watch = watcher.snapshotAndWatch(p);
    const log = new WatchLog(watch);
    const expected: Record<string, string> = {};
    const write = async (from: number, to: number) => {
      for (let i = from; i < to; i++) {
        await eventually(() => store.put(`${p}${i % 7}`, bytes(String(i))));
        expected[`${p}${i % 7}`] = String(i);
      }
    };
    await write(0, 50);
    await log.reaches(expected);
    await remote().kill();
    await storeError(store.get(`${p}0`), "UNAVAILABLE");
    await until("the watch knows it is stale", () => watch.staleFor() > 0);
    await remote().start();
    await write(50, 80);
    await log.reaches(expected, 20_000);
    expect(Object.fromEntries((await store.list(p)).entries.map((e) => [e.key, text(e.value)]))).toEqual(expected);
    expect(log.faults).toEqual([]);
    expect(log.snapshots.every((s) => !s.rewound)).toBe(true);
    await watcher.close();
  });

  it("opens while the store is down, says so, and works once it is up", { timeout: 60_000 }, async () => {
    const { fixture, prefix } = context();
    const p = prefix();
    await remote().kill();
    const store = await fixture.open();
    await storeError(store.get(`${p}a`), "UNAVAILABLE");
    await storeError(store.ping(), "UNAVAILABLE");
    await using watch = store.snapshotAndWatch(p);
    const log = new WatchLog(watch);
    await remote().start();
    await eventually(() => store.put(`${p}a`, bytes("1")));
    await log.reaches({ [`${p}a`]: "1" });
    await store.close();
  });

  it("tells of lost data: the differences, and that history went back", { timeout: 60_000 }, async () => {
    const { fixture, prefix } = context();
    const p = prefix();
    const store = await fixture.open();
    await eventually(() => store.bulk([put(`${p}a`, "1"), put(`${p}b`, "1")]));
    await using watch = store.snapshotAndWatch(p);
    const log = new WatchLog(watch);
    await log.reaches({ [`${p}a`]: "1", [`${p}b`]: "1" });
    await remote().kill();
    await remote().wipe();
    await remote().start();
    await log.reaches({}, 20_000);
    expect(log.snapshots.at(-1)?.rewound).toBe(true);
    await eventually(() => store.put(`${p}a`, bytes("new")));
    await log.reaches({ [`${p}a`]: "new" });
    expect(log.faults).toEqual([]);
    // A later process knows by the position of the earlier one.
    const seen = log.items.find((i) => i.changes.length === 2)?.position as string;
    for await (const item of store.snapshotAndWatch(p, { seen })) {
      expect(item).toMatchObject({ rewound: true });
      break;
    }
    await store.close();
  });
}
