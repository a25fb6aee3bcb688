import { cpSync, rmSync } from "node:fs";
import { Etcd3 } from "etcd3";
import { describe, expect, it } from "vitest";
import { millis } from "../../../src/base/clock/clock.ts";
import { EtcdStore } from "../../../src/stores/etcd/etcd-store.ts";
import { freePort, noEtcd, startEtcd } from "../../support/etcd.ts";
import { bytes, put, storeError, text } from "../../support/store-compliance/calls.ts";
import { TcpProxy } from "../../support/tcp-proxy.ts";
import { until } from "../../support/until.ts";
import { WatchLog } from "../../support/watch-log.ts";

const because = noEtcd === undefined ? "" : ` (skipped: ${noEtcd})`;
const fast = { requestTimeout: millis(1500), dialTimeout: millis(500), heartbeat: millis(300) };

describe.skipIf(noEtcd)(`EtcdStore${because}`, () => {
  it("goes to another endpoint when one is refused or silent", { timeout: 60_000 }, async () => {
    await using etcd = await startEtcd();
    await using proxy = await TcpProxy.start({ port: etcd.clientPort });
    const dead = `http://127.0.0.1:${await freePort()}`;
    await using store = await EtcdStore.open({
      ...fast,
      endpoints: [dead, `http://127.0.0.1:${proxy.port}`, etcd.endpoint],
    });
    await storeError(store.get("/a"), "UNAVAILABLE");
    await store.put("/a", bytes("1"));
    expect(proxy.accepted).toBeGreaterThan(0);
    await using watch = store.snapshotAndWatch("/a");
    const log = new WatchLog(watch);
    await log.reaches({ "/a": "1" });
    proxy.set({ toClient: "swallow" });
    await until("the store answers", () =>
      store.put("/a", bytes("2")).then(
        () => true,
        () => false,
      ),
    );
    await log.reaches({ "/a": "2" }, 20_000);
    expect(log.faults).toEqual([]);
  });

  it("keeps to its own keys under a prefix", async () => {
    await using etcd = await startEtcd();
    await using whole = await EtcdStore.open({ ...fast, endpoints: [etcd.endpoint] });
    await using part = await EtcdStore.open({ ...fast, endpoints: [etcd.endpoint], keyPrefix: "/cluster1" });
    await whole.put("/a", bytes("outside"));
    await part.bulk([put("/a", "1"), put("/b", "1")]);
    expect((await whole.list("")).entries.map((e) => e.key)).toEqual(["/a", "/cluster1/a", "/cluster1/b"]);
    expect((await part.list("")).entries.map((e) => e.key)).toEqual(["/a", "/b"]);
    await using watch = part.snapshotAndWatch("/");
    const log = new WatchLog(watch);
    await log.reaches({ "/a": "1", "/b": "1" });
    await whole.delete("/cluster1/a");
    await log.reaches({ "/b": "1" });
  });

  it("notices a restored backup that has grown past what was seen", { timeout: 60_000 }, async () => {
    await using etcd = await startEtcd();
    await using store = await EtcdStore.open({ ...fast, endpoints: [etcd.endpoint] });
    await using other = await EtcdStore.open({ ...fast, endpoints: [etcd.endpoint] });
    await store.put("/p/old", bytes("1"));
    const backup = `${etcd.dataDir}.backup`;
    await etcd.kill();
    cpSync(etcd.dataDir, backup, { recursive: true });
    try {
      await etcd.start();
      await until("the store answers", () =>
        store.put("/p/lost", bytes("1")).then(
          () => true,
          () => false,
        ),
      );
      await using proxy = await TcpProxy.start({ port: etcd.clientPort });
      await using watching = await EtcdStore.open({ ...fast, endpoints: [`http://127.0.0.1:${proxy.port}`] });
      await using watch = watching.snapshotAndWatch("/p/");
      const log = new WatchLog(watch);
      await log.reaches({ "/p/old": "1", "/p/lost": "1" });
      proxy.refuse();
      await etcd.kill();
      rmSync(etcd.dataDir, { recursive: true });
      cpSync(backup, etcd.dataDir, { recursive: true });
      await etcd.start();
      await until("the store answers", () =>
        other.ping().then(
          () => true,
          () => false,
        ),
      );
      for (let i = 0; i < 20; i++) await other.put("/elsewhere", bytes(String(i)));
      await other.put("/p/new", bytes("1"));
      proxy.allow();
      await log.reaches({ "/p/old": "1", "/p/new": "1" }, 20_000);
      expect(log.snapshots.at(-1)?.rewound).toBe(true);
      expect(log.faults).toEqual([]);
    } finally {
      rmSync(backup, { recursive: true, force: true });
    }
  });

  it("reads the snapshot again when it is compacted between two pages", async () => {
    await using etcd = await startEtcd();
    await using proxy = await TcpProxy.start({ port: etcd.clientPort });
    await using store = await EtcdStore.open({ ...fast, endpoints: [etcd.endpoint] });
    await using slow = await EtcdStore.open({ ...fast, endpoints: [`http://127.0.0.1:${proxy.port}`] });
    const keys = Array.from({ length: 2000 }, (_, i) => `/p/${String(i).padStart(4, "0")}`);
    await store.bulk(keys.map((k) => put(k, "1")));
    await slow.ping();
    proxy.set({ toServer: 100 });
    const listed = slow.list("/p/");
    const raw = new Etcd3({ hosts: etcd.endpoint });
    await new Promise((resolve) => setTimeout(resolve, 150)); // into the second page, or earlier: right either way
    await store.put("/p/0000", bytes("2"));
    const { header } = await raw.kv.range({ key: Buffer.from("/") });
    await raw.kv.compact({ revision: header.revision, physical: true });
    raw.close();
    const { entries } = await listed;
    expect(entries.map((e) => e.key)).toEqual(keys);
    expect(["1", "2"]).toContain(text(entries[0]?.value));
  });
});

describe("EtcdStore's options", () => {
  const cases: [string, Parameters<typeof EtcdStore.open>[0], string][] = [
    ["no endpoint", { endpoints: [] }, "no endpoints"],
    ["an endpoint without scheme", { endpoints: ["127.0.0.1:2379"] }, "127.0.0.1:2379"],
    ["an endpoint with a path", { endpoints: ["http://a:1/b"] }, "http://a:1/b"],
    ["TLS to a plain endpoint", { endpoints: ["http://a:1"], tls: { ca: "x" } }, "http://a:1"],
    ["plain and TLS endpoints", { endpoints: ["http://a:1", "https://a:1"] }, "partly"],
    ["a certificate without key", { endpoints: ["https://a:1"], tls: { cert: "x" } }, "cert and key"],
  ];
  for (const [what, options, message] of cases) {
    it(`are refused: ${what}`, async () => {
      expect((await storeError(EtcdStore.open(options), "INVALID")).message).toContain(message);
    });
  }
});
