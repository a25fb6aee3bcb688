import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { millis, seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { Registry } from "../../../src/infra/metrics/metrics.ts";
import type { Listing, Wish } from "../../../src/ksr/api.ts";
import { ReflectorMetrics } from "../../../src/ksr/reflector/metrics.ts";
import { Reflector } from "../../../src/ksr/reflector/reflector.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import { K8S_PREFIX } from "../../../src/models/k8s/keys.ts";
import { unstamped } from "../../../src/models/k8s/proto/stamp.ts";
import { type StoreChange, StoreError } from "../../../src/stores/api/store.ts";
import { MemoryStore, MemoryStoreData } from "../../support/memory-store.ts";

const KEYS = 4;
const VALUES = 3;
const keyOf = (k: number): string => `${K8S_PREFIX}namespace/k${k}`;
const bytesOf = (k: number, v: number): Uint8Array =>
  K8S_CODECS.namespace.encode({ namespace: "", name: `k${k}`, uid: `${v}`, labels: {} });
const wishOf = (k: number, v: number): Wish => ({
  kind: "namespace",
  key: keyOf(k),
  value: Buffer.from(bytesOf(k, v)).toString("latin1"),
});

const key = fc.nat({ max: KEYS - 1 });
const value = fc.nat({ max: VALUES - 1 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("put" as const), key, value }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("remove" as const), key }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("list" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("foreign" as const), key, value: fc.option(value) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("fail" as const), lose: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("hold" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("release" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lose everything" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(0.1, 1, 200, 12_000) }) },
);
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

/** A store that fails and is seen late, and a source whose wishes change meanwhile. */
class World {
  readonly #clock = new ManualClock();
  readonly data = new MemoryStoreData();
  readonly wanted = new Map<string, string>();
  readonly #reflector: Reflector;
  readonly #end = new AbortController();
  readonly #running: Promise<void>;
  readonly #held: (() => void)[] = [];
  #holds = false;
  #fails: "before" | "after" | undefined;

  constructor() {
    const fail = (when: "after" | "before") => (op: string) => {
      if (op !== "bulk" || this.#fails !== when) return;
      this.#fails = undefined;
      throw new StoreError("UNAVAILABLE", when);
    };
    const store = new MemoryStore(this.data, { before: fail("before"), after: fail("after") });
    const metrics = new ReflectorMetrics(new Registry(), () => undefined);
    this.data.apply([{ op: "put", key: keyOf(0), value: bytesOf(0, 0) }]);
    this.data.apply([{ op: "put", key: keyOf(1), value: Buffer.from("of old") }]);
    this.#reflector = new Reflector({ store, clock: this.#clock, log: silentLog, metrics, random: () => 0.5 });
    this.#running = this.#reflector.run(this.#end.signal);
    for (const watch of this.data.watches) {
      const deliver = watch.deliver.bind(watch);
      watch.deliver = (changes) => {
        if (this.#holds || this.#held.length > 0) this.#held.push(() => deliver(changes));
        else deliver(changes);
      };
    }
  }

  async take(it: Step): Promise<void> {
    switch (it.do) {
      case "put":
        this.wanted.set(keyOf(it.key), wishOf(it.key, it.value).value);
        this.#reflector.put(wishOf(it.key, it.value));
        break;
      case "remove":
        this.wanted.delete(keyOf(it.key));
        this.#reflector.remove("namespace", keyOf(it.key));
        break;
      case "list":
        this.#list();
        break;
      case "foreign":
        this.data.apply([
          it.value === null
            ? { op: "delete", key: keyOf(it.key) }
            : { op: "put", key: keyOf(it.key), value: bytesOf(it.key, it.value) },
        ]);
        break;
      case "fail":
        this.#fails = it.lose ? "after" : "before";
        break;
      case "hold":
        this.#holds = true;
        break;
      case "release":
        this.#release();
        break;
      case "lose everything":
        this.#loseEverything();
        break;
      case "pass":
        await this.#clock.advanceAsync(millis(it.ms), millis(Math.max(it.ms / 4, 0.1)));
        break;
    }
  }

  /** Everything heals, and a listing ends what was only on its way. */
  async end(): Promise<void> {
    this.#fails = undefined;
    this.#release();
    this.#list();
    await this.#clock.advanceAsync(seconds(60), millis(500));
    await this.#clock.advanceAsync(millis(1), millis(0.1));
  }

  async close(): Promise<void> {
    this.#end.abort();
    await this.#clock.advanceAsync(millis(1), millis(0.1));
    await this.#running;
  }

  #list(): void {
    const listing: Listing = this.#reflector.list("namespace");
    for (const [k, v] of this.wanted) listing.put({ kind: "namespace", key: k, value: v });
    listing.done();
  }

  #release(): void {
    this.#holds = false;
    for (const deliver of this.#held.splice(0)) deliver();
  }

  /** A gap: the watch goes on with a snapshot of a store that is empty. */
  #loseEverything(): void {
    this.#release();
    const changes: StoreChange[] = this.data.list(K8S_PREFIX).map((old) => ({ key: old.key, old, new: undefined }));
    this.data.entries.clear();
    for (const watch of this.data.watches) watch.push({ kind: "snapshot", entries: [], changes, rewound: true });
  }
}

describe("the reflector", () => {
  it("ends with the store as the source wishes, whatever fails, is seen late or done by others", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const world = new World();
        for (const it of steps) await world.take(it);
        await world.end();
        const stored = world.data
          .list(K8S_PREFIX)
          .map((e): [string, string] => [e.key, Buffer.from(unstamped(e.value)).toString("latin1")]);
        expect(Object.fromEntries(stored)).toEqual(Object.fromEntries(world.wanted));
        const writes = world.data.writes;
        await world.end();
        expect(world.data.writes).toBe(writes);
        await world.close();
      }),
      { numRuns: 200 },
    );
  });
});
