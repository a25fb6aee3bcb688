import { afterEach, describe, expect, it } from "vitest";
import { renderMetrics, schedulerMetrics } from "../../../src/kvscheduler/introspect/metrics.ts";
import { Rig } from "./rig.ts";

let rig: Rig | undefined;
afterEach(() => rig?.scheduler.close());

/** Reads Prometheus' text format strictly: every sample belongs to the family above it, no series is there twice. */
function parse(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  let family = "";
  for (const line of text.trimEnd().split("\n")) {
    const head = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line);
    if (head !== null) {
      if (head[1] === "HELP") family = head[2]!;
      expect(head[2]).toBe(family);
      continue;
    }
    const sample = /^(\w+)(\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    expect(sample, line).not.toBeNull();
    const [, name = "", labels = "", value = ""] = sample!;
    expect(name.replace(/_(bucket|sum|count)$/, "")).toBe(family.replace(/_(bucket|sum|count)$/, ""));
    expect(samples.has(name + labels), line).toBe(false);
    samples.set(name + labels, Number(value));
  }
  return samples;
}

describe("the scheduler's metrics", () => {
  it("count transactions, operations and values", async () => {
    rig = new Rig();
    await rig.apply({ "link/a": {}, "link/x": { fail: true }, "route/1": { needs: "link/none" } });
    await rig.post("/scheduler/plan", { changes: [] });
    const m = parse(renderMetrics(schedulerMetrics(rig.scheduler.stats())));
    const of = (name: string) => m.get(`heddle_scheduler_${name}`);
    expect(of('transactions_total{kind="northbound",outcome="failed"}')).toBe(1);
    expect(of('transactions_total{kind="northbound",outcome="dry-run"}')).toBe(1);
    expect(of('operations_total{descriptor="link",op="create",outcome="ok"}')).toBe(1);
    expect(of('operations_total{descriptor="link",op="create",outcome="failed"}')).toBe(1);
    expect(of('values{state="CONFIGURED"}')).toBe(1);
    expect(of('values{state="PENDING"}')).toBe(1);
    expect(of("queue_length")).toBe(0);
    expect(of("queue_capacity")).toBe(10_000);
    expect(of("queue_refused_total")).toBe(0);
    expect(of("retries_waiting")).toBe(0);
    expect(of("watcher_missed_events_total")).toBe(0);
    expect(of("longest_slice_seconds")).toBeGreaterThanOrEqual(0);
  });

  it("have histograms whose buckets grow up to their count", async () => {
    rig = new Rig();
    for (let n = 0; n < 5; n++) await rig.apply({ "link/a": { n } });
    const m = parse(renderMetrics(schedulerMetrics(rig.scheduler.stats())));
    for (const [name, labels] of [
      ["transaction_seconds", 'kind="northbound"'],
      ["queue_wait_seconds", 'kind="northbound"'],
      ["operation_seconds", 'descriptor="link"'],
    ] as const) {
      const prefix = `heddle_scheduler_${name}_bucket{${labels},le=`;
      const buckets = [...m].filter(([series]) => series.startsWith(prefix)).map(([, n]) => n);
      expect(buckets).toHaveLength(17);
      expect(buckets).toEqual([...buckets].sort((a, b) => a - b));
      expect(buckets.at(-1)).toBe(5);
      expect(m.get(`heddle_scheduler_${name}_count{${labels}}`)).toBe(5);
    }
  });

  it("escape labels, and take those that every sample gets", () => {
    const text = renderMetrics(
      [{ name: "heddle_scheduler_x", help: "X", type: "gauge", samples: [{ labels: { a: 'q"\\\n' }, value: 1 }] }],
      { process: "agent" },
    );
    expect(parse(text)).toEqual(new Map([[String.raw`heddle_scheduler_x{a="q\"\\\n",process="agent"}`, 1]]));
  });
});
