import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MetricFamily } from "../../../../../src/dataplane/api.ts";
import { VppStatistics } from "../../../../../src/dataplane/vpp/stats/statistics.ts";
import { renderMetrics } from "../../../../../src/kvscheduler/introspect/metrics.ts";
import { type FakeSegment, smallSegment } from "./fake-segment.ts";

const NOBODY = new Map();

describe("what VPP counts", () => {
  let directory: string;
  let socket: string;
  const segments: FakeSegment[] = [];
  const statistics = (names: ReadonlyMap<number, string> = new Map(), maxConnections?: number): VppStatistics =>
    new VppStatistics({
      socket,
      maxConnections,
      nameOf: (index) => names.get(index),
      receive: () => {
        const segment = smallSegment();
        segments.push(segment);
        return Promise.resolve(segment);
      },
    });
  const samples = (families: readonly MetricFamily[], name: string) => families.find((f) => f.name === name)?.samples;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "hd-stats-"));
    socket = join(directory, "stats.sock");
    writeFileSync(socket, "");
    segments.length = 0;
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("is labelled with the pod whose interface it is, else with our name of the interface", async () => {
    using ofPod = statistics(new Map([[2, "hd12ab"]]));
    const owner = { namespace: "web", pod: "shop", interface: "eth0" };
    const sent = "heddle_vpp_interface_transmit_bytes_total";
    expect(samples(await ofPod.families(new Map([["hd12ab", owner]])), sent)).toEqual([
      { labels: { vpp_interface: "local0" }, value: 0 },
      { labels: { vpp_interface: "host-hd1", ...owner }, value: 700 },
    ]);
    expect(samples(await ofPod.families(NOBODY), sent)).toContainEqual({
      labels: { vpp_interface: "host-hd1", interface: "hd12ab" },
      value: 700,
    });
  });

  it("warns when there are nearly as many connections as VPP may know", async () => {
    using few = statistics(new Map(), 101);
    using many = statistics(new Map(), 100);
    expect(await few.warnings()).toEqual([]);
    expect(await many.warnings()).toEqual([
      expect.stringMatching(/knows 90 connections, .* more than 100;.*mainHeapMiB/),
    ]);
  });

  it("is text that Prometheus reads, quotes in error names included", async () => {
    using all = statistics();
    const text = renderMetrics(await all.families(NOBODY));
    expect(text).toContain('\nheddle_vpp_node_errors_total{node="ip4-input",error="ip4 ttl <= 1"} 5\n');
    expect(text).toContain("\nheddle_vpp_statistics_readable 1\n");
    for (const line of text.trimEnd().split("\n")) {
      expect(line).toMatch(/^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)+\})? -?[\d.e+-]+)$/);
    }
  });

  it("is not there without VPP's socket, which is said and harms nothing else", async () => {
    rmSync(socket);
    using none = statistics();
    const families = await none.families(NOBODY);
    expect(families.map((f) => [f.name, f.samples])).toEqual([
      ["heddle_vpp_statistics_readable", [{ labels: {}, value: 0 }]],
    ]);
    expect((await none.warnings()).join()).toContain(`no statistics from VPP at ${socket}`);
    writeFileSync(socket, "");
    expect(await none.warnings()).toEqual([]);
  });

  it("is read from the memory of VPP's next life", async () => {
    using lives = statistics();
    await lives.families(NOBODY);
    lives.renew();
    expect(segments.map((s) => s.closed)).toEqual([true]);
    await lives.families(NOBODY);
    expect(segments.map((s) => s.closed)).toEqual([true, false]);
  });
});
