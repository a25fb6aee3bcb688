import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { millis } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { StatsError } from "../../../../../src/dataplane/vpp/stats/errors.ts";
import { metricFamilies } from "../../../../../src/dataplane/vpp/stats/metrics.ts";
import { StatsSegment } from "../../../../../src/dataplane/vpp/stats/segment.ts";
import { smallSegment } from "./fake-segment.ts";

describe("VPP's statistics segment", () => {
  it("has interfaces, errors, nodes, heaps and buffers, summed over threads", async () => {
    const snapshot = await new StatsSegment(smallSegment()).snapshot();
    expect(snapshot).toMatchObject({ epoch: 2n, bootTime: 1_700_000_000, heartbeat: 3, vectorRate: 12 });
    expect(snapshot.loopsPerSecond).toEqual([100, 200]);
    expect(snapshot.interfaces.map((i) => [i.swIfIndex, i.name, i.drops])).toEqual([
      [0, "local0", 1],
      [2, "host-hd1", 3],
    ]);
    const host = snapshot.interfaces[1];
    expect(host).toMatchObject({ rxPackets: 2 ** 32 + 5, rxBytes: 501, txPackets: 7, txBytes: 700, ip6: 0 });
    expect(snapshot.errors).toEqual([{ node: "ip4-input", error: "ip4 ttl <= 1", count: 5 }]);
    expect(snapshot.nodes).toEqual([{ node: "ip4-lookup", calls: 1, vectors: 2, suspends: 3, clocks: 4 }]);
    expect(snapshot.heaps).toEqual([{ heap: "main heap", total: 1000, used: 600, free: 400 }]);
    expect(snapshot.buffers).toEqual([{ pool: "default-numa-0", available: 90, used: 8, cached: 2 }]);
  });

  it("refuses a layout of another version, and lets the memory go", () => {
    const memory = smallSegment();
    memory.bytes.writeBigUInt64LE(3n, 0);
    expect(() => new StatsSegment(memory)).toThrow(expect.objectContaining({ code: "VERSION" }));
    expect(memory.closed).toBe(true);
  });

  it("reads again what VPP changed meanwhile", async () => {
    const memory = smallSegment();
    const clock = new ManualClock();
    const segment = new StatsSegment(memory, clock);
    let changes = 2;
    memory.onRead = (offset) => {
      if (offset > 4096 && changes-- > 0) memory.epoch += 1n;
    };
    const reading = segment.snapshot();
    await clock.advanceAsync(millis(5), millis(1));
    expect((await reading).interfaces).toHaveLength(2);
    expect(segment.retries).toBeGreaterThan(0);
  });

  it("waits while VPP holds its lock, and says so when it never lets go", async () => {
    const memory = smallSegment();
    const clock = new ManualClock();
    const segment = new StatsSegment(memory, clock);
    memory.inProgress = true;
    const patient = segment.snapshot();
    await clock.advanceAsync(millis(10), millis(1));
    memory.inProgress = false;
    await clock.advanceAsync(millis(2), millis(1));
    expect((await patient).heartbeat).toBe(3);
    memory.inProgress = true;
    const hopeless = expect(segment.snapshot()).rejects.toMatchObject({ code: "BUSY" });
    await clock.advanceAsync(millis(200), millis(1));
    await hopeless;
  });

  it("sees new entries and names when the epoch is another", async () => {
    const memory = smallSegment();
    const segment = new StatsSegment(memory);
    await segment.snapshot();
    memory.gauge("/buffer-pools/default-numa-1/available", 11);
    expect((await segment.snapshot()).buffers).toHaveLength(1);
    memory.publish();
    expect((await segment.snapshot()).buffers).toHaveLength(2);
  });

  it("is a snapshot or a StatsError whatever bytes it holds, within its bounds", async () => {
    const change = fc.record({ at: fc.nat(16_000), word: fc.bigInt(0n, 2n ** 64n - 1n) });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 20 }), async (changes) => {
        const memory = smallSegment();
        for (const { at, word } of changes) memory.bytes.writeBigUInt64LE(word, at < 12 ? 8 : Math.max(at, 32));
        memory.onRead = (offset) => expect(offset).toBeLessThanOrEqual(memory.size);
        try {
          metricFamilies(await new StatsSegment(memory).snapshot());
        } catch (e) {
          expect(e).toBeInstanceOf(StatsError);
        }
      }),
    );
  });
});

describe("statistics as metrics", () => {
  it("are labelled with pod, namespace and interface", async () => {
    const snapshot = await new StatsSegment(smallSegment()).snapshot();
    const families = metricFamilies(snapshot, (index) =>
      index === 2 ? { namespace: "web", pod: "shop", interface: "eth0" } : undefined,
    );
    const family = (name: string) => families.find((f) => f.name === name);
    expect(family("heddle_vpp_interface_transmit_bytes_total")).toMatchObject({
      type: "counter",
      samples: [
        { labels: { vpp_interface: "local0" }, value: 0 },
        { labels: { vpp_interface: "host-hd1", namespace: "web", pod: "shop", interface: "eth0" }, value: 700 },
      ],
    });
    expect(family("heddle_vpp_node_errors_total")?.samples).toEqual([
      { labels: { node: "ip4-input", error: "ip4 ttl <= 1" }, value: 5 },
    ]);
    expect(family("heddle_vpp_heap_bytes")?.samples).toContainEqual({
      labels: { heap: "main heap", state: "used" },
      value: 600,
    });
    expect(new Set(families.map((f) => f.name)).size).toBe(families.length);
  });
});
