import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import type { Wish } from "../../../src/ksr/api.ts";
import { reflect } from "../../../src/ksr/convert/reflect.ts";
import { ReflectorMetrics } from "../../../src/ksr/reflector/metrics.ts";
import { Reflector } from "../../../src/ksr/reflector/reflector.ts";
import { RESOURCES } from "../../../src/ksr/resources.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { unstamped } from "../../../src/models/k8s/proto/stamp.ts";
import { StoreError } from "../../../src/stores/api/store.ts";
import { MemoryStore, MemoryStoreData } from "../../support/memory-store.ts";

const namespace = (name: string, labels: Record<string, string> = {}): Wish => {
  const made = reflect({ metadata: { name, labels } }, "v1/Namespace");
  if (made.is !== "wish") throw new Error(made.is);
  return made.wish;
};
const bytes = (wish: Wish): Uint8Array => Buffer.from(wish.value, "latin1");

let clock: ManualClock;
let data: MemoryStoreData;
let before: (op: string) => Promise<void> | void;
let closing: (() => Promise<void>)[];

beforeEach(() => {
  clock = new ManualClock();
  data = new MemoryStoreData();
  before = () => {};
  closing = [];
});
afterEach(async () => {
  for (const close of closing) await close();
});

/** Lets everything happen that doesn't wait for time to pass. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await clock.advanceAsync(millis(0.01));
}

async function start(): Promise<{ reflector: Reflector; registry: Registry }> {
  const store = new MemoryStore(data, { before: (op) => before(op) });
  const registry = new Registry();
  const metrics = new ReflectorMetrics(registry, () => reflector.view());
  const reflector: Reflector = new Reflector({ store, clock, log: silentLog, metrics, random: () => 0.5 });
  const end = new AbortController();
  const running = reflector.run(end.signal);
  closing.push(async () => {
    end.abort();
    await clock.advanceAsync(millis(1));
    await running;
  });
  await settle();
  return { reflector, registry };
}

const stored = (): string[] => data.list(K8S_PREFIX).map((e) => e.key.slice(K8S_PREFIX.length));
const valueOf = (key: string): string | undefined => {
  const entry = data.entries.get(key);
  return entry && Buffer.from(unstamped(entry.value)).toString("latin1");
};
const metric = async (registry: Registry, name: string, labels = ""): Promise<number> => {
  const line = (await registry.metrics())
    .split("\n")
    .find((l) => l.startsWith(`${name}${labels}`) && !l.startsWith("#"));
  return line === undefined ? Number.NaN : Number(line.slice(line.lastIndexOf(" ")));
};

describe("the store becomes as the source wishes", () => {
  it("writes, changes and removes", async () => {
    const { reflector } = await start();
    reflector.put(namespace("a"));
    reflector.put(namespace("b"));
    await settle();
    expect(stored()).toEqual(["namespace/a", "namespace/b"]);
    reflector.put(namespace("a", { x: "1" }));
    reflector.remove("namespace", namespace("b").key);
    await settle();
    expect(stored()).toEqual(["namespace/a"]);
    expect(valueOf(namespace("a").key)).toBe(namespace("a", { x: "1" }).value);
  });

  it("writes nothing when an object changes in what is not kept", async () => {
    const { reflector } = await start();
    reflector.put(namespace("a"));
    await settle();
    const writes = data.writes;
    reflector.put(namespace("a"));
    await settle();
    expect(data.writes).toBe(writes);
  });

  it("a restart writes only what differs and sweeps what is gone", async () => {
    for (const w of [namespace("same"), namespace("changed"), namespace("gone")]) {
      data.apply([{ op: "put", key: w.key, value: bytes(w) }]);
    }
    const writes = data.writes;
    const { reflector } = await start();
    const listing = reflector.list("namespace");
    for (const w of [namespace("same"), namespace("changed", { x: "1" }), namespace("new")]) listing.put(w);
    await settle();
    expect(stored()).toContain("namespace/gone"); // not before the listing is complete
    listing.done();
    await settle();
    expect(stored()).toEqual(["namespace/changed", "namespace/new", "namespace/same"]);
    expect(data.writes - writes).toBe(3);
  });

  it("the same when the source was read before the store", async () => {
    for (const w of [namespace("same"), namespace("gone")]) data.apply([{ op: "put", key: w.key, value: bytes(w) }]);
    const writes = data.writes;
    const store = new MemoryStore(data);
    const metrics = new ReflectorMetrics(new Registry(), () => undefined);
    const reflector = new Reflector({ store, clock, log: silentLog, metrics });
    const listing = reflector.list("namespace");
    for (const w of [namespace("same"), namespace("new"), namespace("brief")]) listing.put(w);
    listing.done();
    reflector.remove("namespace", namespace("brief").key);
    const end = new AbortController();
    const running = reflector.run(end.signal);
    await settle();
    expect(stored()).toEqual(["namespace/new", "namespace/same"]);
    expect(data.writes - writes).toBe(2);
    end.abort();
    await settle();
    await running;
  });

  it("what vanished while nobody watched is removed by the next listing", async () => {
    const { reflector } = await start();
    const first = reflector.list("namespace");
    for (const name of ["a", "b", "c"]) first.put(namespace(name));
    first.done();
    const second = reflector.list("namespace");
    second.put(namespace("b"));
    second.done();
    await settle();
    expect(stored()).toEqual(["namespace/b"]);
  });

  it("a listing with gaps removes nothing", async () => {
    data.apply([{ op: "put", key: namespace("old").key, value: bytes(namespace("old")) }]);
    const { reflector } = await start();
    const listing = reflector.list("namespace");
    listing.put(namespace("a"));
    listing.done({ gaps: true });
    await settle();
    expect(stored()).toEqual(["namespace/a", "namespace/old"]);
  });

  it("leaves kinds alone that it doesn't know, and removes what means nothing below those it knows", async () => {
    data.apply([
      { op: "put", key: `${K8S_PREFIX}gateway/x/y`, value: new Uint8Array([1]) },
      { op: "put", key: `${K8S_PREFIX}namespace/a/b`, value: new Uint8Array([1]) },
    ]);
    const { reflector } = await start();
    reflector.list("namespace").done();
    await settle();
    expect(stored()).toEqual(["gateway/x/y"]);
  });
});

describe("faults of the store", () => {
  const away = () => {
    before = (op) => {
      if (op === "bulk") throw new StoreError("UNAVAILABLE", "away");
    };
  };

  it("an outage is repaired with the newest wishes, each written once", async () => {
    const { reflector } = await start();
    away();
    for (let i = 0; i < 100; i++) reflector.put(namespace("a", { i: String(i) }));
    reflector.put(namespace("b"));
    reflector.remove("namespace", namespace("b").key);
    await clock.advanceAsync(seconds(60), millis(500));
    expect(reflector.health()).toContain("away");
    expect(reflector.view().kinds.find((k) => k.kind === "namespace")?.lagMs).toBeGreaterThan(50_000);
    before = () => {};
    const writes = data.writes;
    await clock.advanceAsync(seconds(10), millis(500));
    expect(valueOf(namespace("a").key)).toBe(namespace("a", { i: "99" }).value);
    expect(stored()).toEqual(["namespace/a"]);
    expect(data.writes - writes).toBe(1);
    expect(reflector.view().kinds.every((k) => k.unwritten === 0 && k.lagMs === 0)).toBe(true);
  });

  it("tries again less and less often", async () => {
    const { reflector } = await start();
    let tries = 0;
    before = (op) => {
      if (op !== "bulk") return;
      tries++;
      throw new StoreError("UNAVAILABLE", "away");
    };
    reflector.put(namespace("a"));
    await clock.advanceAsync(seconds(60), millis(100));
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThan(25);
  });

  it("a write whose answer is lost is made again", async () => {
    const { reflector } = await start();
    let lost = 1;
    const store = data.apply.bind(data);
    data.apply = (writes) => {
      const revision = store(writes);
      if (lost-- > 0) throw new StoreError("UNAVAILABLE", "no answer");
      return revision;
    };
    reflector.put(namespace("a"));
    await clock.advanceAsync(seconds(2), millis(100));
    expect(stored()).toEqual(["namespace/a"]);
    expect(reflector.health()).toMatch(/not listed/);
  });

  it("an object that the store refuses is named, and holds up nobody", async () => {
    const { reflector } = await start();
    before = () => {};
    const apply = data.apply.bind(data);
    data.apply = (writes) => {
      if (writes.some((w) => w.key.endsWith("/bad"))) throw new StoreError("INVALID", "too large");
      return apply(writes);
    };
    for (const name of ["a", "bad", "c"]) reflector.put(namespace(name));
    await settle();
    expect(stored()).toEqual(["namespace/a", "namespace/c"]);
    expect(reflector.problems()).toEqual([expect.stringContaining("too large")]);
    reflector.remove("namespace", namespace("bad").key);
    expect(reflector.problems()).toEqual([]);
  });

  it("what somebody else deletes or changes is put right at once", async () => {
    const { reflector, registry } = await start();
    const listing = reflector.list("namespace");
    for (const name of ["a", "b"]) listing.put(namespace(name));
    listing.done();
    await settle();
    data.apply([
      { op: "delete", key: namespace("a").key },
      { op: "put", key: namespace("b").key, value: new Uint8Array([1, 2]) },
      { op: "put", key: namespace("c").key, value: bytes(namespace("c")) },
    ]);
    await settle();
    expect(stored()).toEqual(["namespace/a", "namespace/b"]);
    expect(valueOf(namespace("b").key)).toBe(namespace("b").value);
    expect(await metric(registry, "heddle_ksr_repairs_total", '{kind="namespace"}')).toBe(3);
  });

  it("a store that lost everything gets everything again", async () => {
    const { reflector, registry } = await start();
    for (const { kind } of RESOURCES) {
      const listing = reflector.list(kind);
      if (kind === "namespace") for (let i = 0; i < 3000; i++) listing.put(namespace(`n${i}`));
      listing.done();
    }
    await clock.advanceAsync(seconds(1), millis(10));
    expect(stored()).toHaveLength(3000);
    const changes = data.list(K8S_PREFIX).map((old) => ({ key: old.key, old, new: undefined }));
    data.entries.clear();
    for (const watch of data.watches) watch.push({ kind: "snapshot", entries: [], changes, rewound: true });
    await clock.advanceAsync(seconds(1), millis(10));
    expect(stored()).toHaveLength(3000);
    expect(await metric(registry, "heddle_ksr_store_gaps_total", '{why="data lost"}')).toBe(1);
    expect(reflector.health()).toBeUndefined();
  });

  it("an own write that is seen late is not taken for somebody else's", async () => {
    const { reflector } = await start();
    reflector.list("namespace").done();
    const held: (() => void)[] = [];
    for (const watch of data.watches) {
      const deliver = watch.deliver.bind(watch);
      watch.deliver = (changes) => void held.push(() => deliver(changes));
    }
    const writes = data.writes;
    for (const x of ["1", "2", "3"]) {
      reflector.put(namespace("a", { x }));
      await settle();
    }
    for (const deliver of held.splice(0)) {
      deliver();
      await settle();
    }
    expect(data.writes - writes).toBe(3);
    expect(valueOf(namespace("a").key)).toBe(namespace("a", { x: "3" }).value);
  });

  it("a write that never shows is made again, a deletion of what wasn't there is not", async () => {
    const { reflector } = await start();
    reflector.list("namespace").done();
    reflector.put(namespace("a"));
    reflector.put(namespace("never"));
    reflector.remove("namespace", namespace("never").key);
    let writes: string[] = [];
    const apply = data.apply.bind(data);
    data.apply = (all) => {
      writes.push(...all.map((w) => `${w.op} ${w.key}`));
      return "1"; // and forgets it
    };
    await settle();
    writes = [];
    data.apply = (all) => {
      writes.push(...all.map((w) => `${w.op} ${w.key}`));
      return apply(all);
    };
    await clock.advanceAsync(seconds(60), seconds(1));
    expect(writes).toEqual([`put ${namespace("a").key}`]);
  });
});
