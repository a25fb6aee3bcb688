import { describe, expect, it } from "vitest";
import { createRegistry, LATENCY_BUCKETS } from "../../../src/infra/metrics/metrics.ts";

describe("a process's metrics", () => {
  it("tell memory, CPU and the event loop's delay, under the process's name", async () => {
    const text = await createRegistry("agent").metrics();
    for (const line of [
      /^heddle_event_loop_delay_seconds\{quantile="0.5",process="agent"\} \d/m,
      /^heddle_event_loop_delay_seconds\{quantile="0.99",process="agent"\} \d/m,
      /^heddle_event_loop_delay_seconds\{quantile="max",process="agent"\} \d/m,
      /^heddle_resident_memory_bytes\{process="agent"\} [1-9]\d{6,}$/m,
      /^heddle_cpu_seconds\{process="agent"\} \d/m,
    ]) {
      expect(text).toMatch(line);
    }
  });

  it("have buckets that rise", () => {
    expect(LATENCY_BUCKETS).toEqual([...LATENCY_BUCKETS].sort((a, b) => a - b));
  });
});
