import { describe, expect, it } from "vitest";
import { seconds } from "../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { EventOutcome, StoreEvent } from "../../../src/controller/api.ts";
import { resyncEvent } from "../../../src/controller/store-watcher.ts";
import { silentLog } from "../../../src/infra/log/log.ts";
import { createRegistry } from "../../../src/infra/metrics/metrics.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import type { SandboxId } from "../../../src/pods/api.ts";
import type {
  PodHostPorts,
  ReflectedInput,
  ServiceRows,
  ServiceView,
  ServiceWiring,
} from "../../../src/services/api.ts";
import { ownAddressesEvent, ServiceHandler } from "../../../src/services/handler.ts";
import { ServiceInsight } from "../../../src/services/insight.ts";
import { StaleConnections } from "../../../src/services/stale.ts";
import type { Entry } from "../../../src/stores/api/store.ts";
import { FakeOutput } from "../../support/controller/fakes.ts";
import { CONFIG, endpoint, HOST_POD, hostPorts, service, slice } from "../../support/services/objects.ts";

function entryOf(input: ReflectedInput): Entry {
  if (input.object === undefined) throw new Error("nothing to store");
  const codec = K8S_CODECS[input.kind];
  return { key: codec.key(input.at), value: codec.encode(input.object as never), revision: "1" };
}

const storeEvent = (...entries: readonly Entry[]): StoreEvent => ({
  kind: "store",
  changes: entries.map((entry) => ({ key: entry.key, old: undefined, new: entry })),
  describe: () => "the store",
});

const outcome = (failed: readonly string[] = []): EventOutcome => ({
  txn: { seq: 1, errors: new Map(failed.map((k) => [k, new Error("no")])), pending: [], record: {} as RecordedTxn },
  rememberError: undefined,
});

class Rig {
  readonly inPlace = new Set<string>();
  own = [parseIp("192.168.0.1")];
  readonly ports = new Map<SandboxId, PodHostPorts>();
  readonly looks: ServiceView[] = [];
  readonly clock = new ManualClock();
  readonly registry = createRegistry("test");
  readonly insight = new ServiceInsight({ clock: this.clock, registry: this.registry });
  readonly wiring: ServiceWiring = {
    serviceBase: () => [{ key: "base", value: 1 }],
    renderServices: ({ pools, base }: ServiceRows) => [
      { key: "nodes", value: base.nodePortAddresses },
      ...pools.map((p) => ({ key: p.id, value: p.backends.length })),
    ],
    renderServiceChanges: ({ pools }) =>
      pools.map(({ old, new: now }) => ({ key: (now ?? old)?.id ?? "", value: now?.backends.length })),
    renderHostPorts: (frontends) => frontends.map(({ key }) => ({ key, value: "in force" })),
    endStale: (view) => {
      this.looks.push(view);
      return Promise.resolve(0);
    },
  };
  readonly handler: ServiceHandler;

  constructor(serves = true) {
    this.handler = this.#handler(serves);
  }

  readonly #handler = (serves: boolean): ServiceHandler =>
    new ServiceHandler({
      wiring: this.wiring,
      engine: CONFIG,
      serves,
      hostPorts: () => this.ports,
      changesHostPorts: ({ kind }) => kind === "pods",
      ownAddresses: () => this.own,
      stale: new StaleConnections({ wiring: this.wiring, clock: this.clock, log: silentLog }),
      log: silentLog,
      handled: (event, changes) => this.insight.handled(event, changes),
      finished: (event, changes, { isApplied, isWaiting }) => {
        if (isApplied) this.insight.applied(event, changes);
        this.insight.waits(isWaiting);
      },
      isInPlace: (key) => this.inPlace.has(key),
    });

  resync(...inputs: readonly ReflectedInput[]): FakeOutput {
    const entries = new Map(inputs.map((input) => [entryOf(input).key, entryOf(input)]));
    return this.#handle(resyncEvent("test", entries));
  }

  update(...inputs: readonly ReflectedInput[]): FakeOutput {
    return this.#handle(storeEvent(...inputs.map(entryOf)));
  }

  #handle(event: StoreEvent | ReturnType<typeof resyncEvent>, failed: readonly string[] = []): FakeOutput {
    const out = new FakeOutput();
    if (event.kind === "resync") this.handler.resync(event, out);
    else this.handler.update(event, out);
    this.handler.finish(event, outcome(failed));
    return out;
  }

  /** Pods have come or gone, or something else has happened to them. */
  podEvent(): void {
    const event = { kind: "pods", describe: () => "pods" };
    expect(this.handler.handles(event)).toBe(true);
    this.handler.update(event, new FakeOutput());
    this.handler.finish(event, outcome());
  }

  fail(input: ReflectedInput, key: string): void {
    this.#handle(storeEvent(entryOf(input)), [key]);
  }
}

const POOL = "x/s:http/TCP/4/cluster";

describe("the services of a node", () => {
  it("are rendered from what the store has, and then by what changes", () => {
    const rig = new Rig();
    const all = rig.resync(service(), slice([endpoint("10.1.0.1")]));
    expect(Object.fromEntries(all.items)).toEqual({ base: 1, nodes: ["192.168.0.1"], [POOL]: 1 });
    const changed = rig.update(slice([endpoint("10.1.0.1"), endpoint("10.1.0.2")]));
    expect([...changed.items]).toEqual([[POOL, 2]]);
    expect(rig.handler.status()).toMatchObject({ services: 1, pools: 1, backends: 2, missing: [] });
  });

  it("are made anew, whatever was before, by a resync", () => {
    const rig = new Rig();
    rig.resync(service(), slice([endpoint("10.1.0.1")]));
    expect([...rig.resync().items.keys()]).toEqual(["base", "nodes"]);
  });

  it("whose items have failed are named until they are in place", () => {
    const rig = new Rig();
    rig.resync(service());
    rig.fail(slice([endpoint("10.1.0.1")]), POOL);
    expect(rig.handler.status().missing).toEqual([POOL]);
    rig.inPlace.add(POOL);
    expect(rig.handler.status().missing).toEqual([]);
  });

  it("make the node unhealthy when something is not in force for a minute, until it is, whatever else goes well", () => {
    const rig = new Rig();
    const isHealthy = () => {
      rig.insight.waits(rig.handler.isWaiting);
      return rig.insight.isCurrent;
    };
    rig.resync(service());
    rig.fail(slice([endpoint("10.1.0.1")]), POOL);
    rig.clock.advance(seconds(59));
    expect(isHealthy()).toBe(true);
    rig.update(service({ name: "other" }));
    rig.clock.advance(seconds(1));
    expect(isHealthy()).toBe(false);
    rig.inPlace.add(POOL);
    expect(isHealthy()).toBe(true);
    rig.clock.advance(seconds(100));
    expect(isHealthy()).toBe(true);
  });

  it("are looked through for stale datagrams when such may have been left, and after a resync", () => {
    const rig = new Rig();
    rig.resync(service());
    expect(rig.looks.length).toBe(1);
    rig.update(slice([endpoint("10.1.0.1")]));
    rig.clock.advance(seconds(10));
    expect(rig.looks.length).toBe(1);
  });

  it("an object that can't be read is named, the rest is served", () => {
    const rig = new Rig();
    const bad: Entry = { ...entryOf(service({ name: "bad" })), value: Buffer.from("{") };
    const event = storeEvent(bad, entryOf(service()), entryOf(slice([endpoint("10.1.0.1")])));
    rig.resync();
    const out = new FakeOutput();
    rig.handler.update(event, out);
    expect([...out.items.keys()]).toEqual([POOL]);
    expect(rig.handler.status().unreadable).toMatchObject([{ kind: "service", name: "bad" }]);
  });

  it("learn of addresses that the node gets", () => {
    const rig = new Rig();
    rig.resync(service());
    rig.own = [parseIp("192.168.0.9")];
    expect(rig.handler.handles(ownAddressesEvent())).toBe(true);
    rig.handler.update(ownAddressesEvent(), new FakeOutput());
    expect(rig.handler.engine.base.nodePortAddresses).toEqual(["192.168.0.9"]);
  });

  it("learn of pods' host ports by the events of pods, and serve them where services are left to others", () => {
    for (const serves of [true, false]) {
      const rig = new Rig(serves);
      const first = rig.resync(service(), slice([endpoint("10.1.0.1")]));
      expect([...first.items.keys()].includes(POOL)).toBe(serves);
      expect(rig.handler.handles(storeEvent(entryOf(service())))).toBe(serves);
      const input = hostPorts([{ hostIp: "0.0.0.0" }]);
      const object = input.kind === "host-ports" ? input.object : undefined;
      if (object) rig.ports.set(HOST_POD, object);
      rig.podEvent();
      expect([...rig.handler.hostPortItems(HOST_POD)]).toEqual([{ key: "4/TCP/local/8000", value: "in force" }]);
      expect(rig.handler.status()).toMatchObject({ served: serves, hostPorts: 1, services: serves ? 1 : 0 });
      rig.resync();
      expect(rig.handler.status().hostPorts).toBe(1);
      rig.ports.clear();
      rig.podEvent();
      expect([...rig.handler.hostPortItems(HOST_POD)]).toEqual([]);
    }
  });

  it("are measured from what slices say, under kube-proxy's names", async () => {
    const rig = new Rig();
    rig.resync(service());
    const at = rig.clock.wall() - 300;
    rig.update(slice([endpoint("10.1.0.1")], { triggered: at }));
    const text = await rig.registry.metrics();
    expect(text).toMatch(/kubeproxy_network_programming_duration_seconds_bucket\{le="0.25".*\} 0\n/);
    expect(text).toMatch(/kubeproxy_network_programming_duration_seconds_count\{.*\} 1\n/);
    expect(text).toMatch(/kubeproxy_sync_proxy_rules_duration_seconds_count\{.*\} 2\n/);
    expect(text).toMatch(/kubeproxy_sync_proxy_rules_endpoint_changes_total\{.*\} 1\n/);
    expect(rig.insight.isCurrent).toBe(true);
  });
});
