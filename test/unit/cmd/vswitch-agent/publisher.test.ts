import { setImmediate as turn } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import { Publisher } from "../../../../cmd/vswitch-agent/publisher.ts";
import { seconds } from "../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../../src/base/ip/address.ts";
import { silentLog } from "../../../../src/infra/log/log.ts";
import { nodeIdKey, nodeInfoKey } from "../../../../src/models/node.ts";
import { type NodeInfo, NodesError, vtepMacOf } from "../../../../src/nodes/api.ts";
import { type Entry, StoreError } from "../../../../src/stores/api/store.ts";

const self: NodeInfo = {
  name: "n2",
  id: 2,
  underlayIps: [parseIp("192.168.0.2")],
  podCIDRs: ["10.0.2.0/24"],
  vtepMac: vtepMacOf(2),
  overlay: "vxlan",
  version: "0.1.0",
};

const entry = (key: string): Entry => ({ key, value: new Uint8Array(), revision: "1" });
const gone = (key: string) => ({ key, old: entry(key), new: undefined });
const changed = (key: string) => ({ key, old: entry(key), new: entry(key) });

/** A registry that says what it was asked, and fails when told to. */
class ToldRegistry {
  readonly claims: (number | undefined)[] = [];
  readonly infos: NodeInfo[] = [];
  failure: Error | undefined;
  answer = 2;

  claim(_name: string, options?: { readonly id?: number }): Promise<number> {
    this.claims.push(options?.id);
    return this.failure ? Promise.reject(this.failure) : Promise.resolve(this.answer);
  }

  get published(): number {
    return this.infos.length;
  }

  publish(info: NodeInfo): Promise<void> {
    this.infos.push(info);
    return Promise.resolve();
  }
}

describe("the publisher of a node", () => {
  let registry: ToldRegistry;
  let clock: ManualClock;
  let publisher: Publisher;
  let ending: AbortController;
  let ended: Promise<void>;

  const settle = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) await turn();
  };
  const start = async (): Promise<void> => {
    ended = publisher.run(ending.signal);
    await settle();
  };

  beforeEach(() => {
    registry = new ToldRegistry();
    clock = new ManualClock();
    publisher = new Publisher({ registry, self, clock, log: silentLog });
    ending = new AbortController();
    return async () => {
      ending.abort();
      await ended;
    };
  });

  it("claims the ID that the node has, and publishes once", async () => {
    await start();
    expect(registry.claims).toEqual([2]);
    expect(registry.published).toBe(1);
    publisher.observe([changed(nodeInfoKey("n2")), gone(nodeInfoKey("n1")), gone(nodeIdKey(1))]);
    await settle();
    expect(registry.published).toBe(1);
  });

  it.each([nodeInfoKey("n2"), nodeIdKey(2), "/heddle/nodes/names/n2"])(
    "does so again when %s vanishes",
    async (key) => {
      await start();
      publisher.observe([gone(key)]);
      await settle();
      expect(registry.published).toBe(2);
    },
  );

  it("publishes how the node is reached when that changes, once the store is there", async () => {
    const moved = { ...self, underlayIps: [parseIp("192.168.0.22")] };
    await start();
    registry.failure = new StoreError("UNAVAILABLE", "no answer");
    publisher.move(moved);
    await settle();
    publisher.move({ ...moved, underlayIps: [parseIp("192.168.0.23")] });
    registry.failure = undefined;
    clock.advance(seconds(10));
    await settle();
    expect(registry.infos[0]).toEqual(self);
    expect(registry.infos.at(-1)?.underlayIps).toEqual(["192.168.0.23"]);
  });

  it("repeats it while the store is away, which is nobody's fault", async () => {
    registry.failure = new StoreError("UNAVAILABLE", "no answer");
    await start();
    expect(publisher.problem).toBeUndefined();
    registry.failure = undefined;
    clock.advance(seconds(10));
    await settle();
    expect(registry.published).toBe(1);
  });

  it("says what is wrong while another node has its ID, and publishes nothing", async () => {
    registry.failure = new NodesError("ID_CONFLICT", "it is node n9's");
    await start();
    expect(publisher.problem).toContain("n9");
    registry.failure = undefined;
    registry.answer = 5;
    clock.advance(seconds(10));
    await settle();
    expect(publisher.problem).toContain("has ID 5");
    expect(registry.published).toBe(0);
    registry.answer = 2;
    clock.advance(seconds(10));
    await settle();
    expect(publisher.problem).toBeUndefined();
    expect(registry.published).toBe(1);
  });
});
