import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import { reflect } from "../../../src/ksr/convert/reflect.ts";
import { ReflectorMetrics } from "../../../src/ksr/reflector/metrics.ts";
import { Reflector } from "../../../src/ksr/reflector/reflector.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import type { Store } from "../../../src/stores/api/store.ts";
import { openStore } from "../../../src/stores/open.ts";
import { noEtcd, TestEtcd } from "../../support/etcd.ts";
import { pod } from "../../support/k8s/reflecting.ts";
import { until } from "../../support/until.ts";

const because = noEtcd === undefined ? "" : ` (skipped: ${noEtcd})`;

describe.skipIf(noEtcd)(`the reflector on a real etcd${because}`, () => {
  let etcd: TestEtcd;
  let store: Store;
  let registry: Registry;
  let reflector: Reflector;
  let end: AbortController;
  let running: Promise<void>;

  beforeEach(async () => {
    etcd = await TestEtcd.start();
    store = await openStore({ kind: "etcd", endpoints: [etcd.endpoint] }, { clock: systemClock });
    registry = new Registry();
    const metrics = new ReflectorMetrics(registry, () => reflector.view());
    reflector = new Reflector({ store, clock: systemClock, log: silentLog, metrics });
    end = new AbortController();
    running = reflector.run(end.signal);
  });
  afterEach(async () => {
    end.abort();
    await running;
    await store.close();
    await etcd.close();
  });

  function put(name: string, labels: Record<string, string> = {}): string {
    const made = reflect(pod(name, labels));
    if (made.is !== "wish") throw new Error(made.is);
    reflector.put(made.wish);
    return made.wish.key;
  }
  const names = async (): Promise<string> => {
    const { entries } = await store.list(`${K8S_PREFIX}pod/`);
    return entries.map((e) => e.key.slice(e.key.lastIndexOf("/") + 1)).join(" ");
  };
  const isWritten = () =>
    until("everything is written", () => reflector.view().kinds.every((k) => k.unwritten === 0)).then(() => undefined);

  it("changes while etcd is away are there when it is back", async () => {
    const a = put("a");
    put("b");
    await isWritten();
    await etcd.kill();
    put("c", { was: "changed" });
    put("c");
    reflector.remove("pod", a);
    await until("it is known", () => reflector.view().kinds.some((k) => k.lagMs > 200));
    await etcd.start();
    await isWritten();
    expect(await names()).toBe("b c");
  });

  it("an etcd that lost its data gets everything again", async () => {
    reflector.list("pod").done();
    for (let i = 0; i < 500; i++) put(`p${i}`);
    await isWritten();
    await etcd.kill();
    etcd.wipe();
    await etcd.start();
    await until("all are there", async () => (await names().catch(() => "")).split(" ").length === 500);
    expect(await registry.metrics()).toMatch(/heddle_ksr_store_gaps_total\{why="data lost"\} 1/);
  });

  it("what somebody deletes or adds by hand is put right", async () => {
    reflector.list("pod").done();
    const a = put("a");
    await isWritten();
    await store.delete(a);
    await store.put(`${K8S_PREFIX}pod/ns/foreign`, Buffer.from("{}"));
    await until("it is right", async () => (await names()) === "a");
  });
});
