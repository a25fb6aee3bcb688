import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, Registry } from "prom-client";

export { Counter, Gauge, Histogram, Registry } from "prom-client";

/** Buckets in seconds for operations that take from 100 µs to 10 s. */
export const LATENCY_BUCKETS = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/**
 * A registry with what every process reports: resident memory, CPU, and the delay of the event loop since the last
 * scrape. Alert on `heddle_event_loop_delay_seconds{quantile="max"}` above 0.1.
 */
export function createRegistry(process_: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ process: process_ });
  const loop = monitorEventLoopDelay({ resolution: 5 });
  loop.enable();
  new Gauge({
    name: "heddle_event_loop_delay_seconds",
    help: "Delay of the event loop since the last scrape",
    labelNames: ["quantile"],
    registers: [registry],
    collect() {
      // The histogram counts its own 5 ms resolution as delay; what is above it is ours.
      const own = (ns: number) => Math.max(0, ns - 5e6) / 1e9;
      this.set({ quantile: "0.5" }, own(loop.percentile(50)));
      this.set({ quantile: "0.99" }, own(loop.percentile(99)));
      this.set({ quantile: "max" }, loop.max > 0 ? own(loop.max) : 0);
      loop.reset();
    },
  });
  new Gauge({
    name: "heddle_resident_memory_bytes",
    help: "Resident memory of the process",
    registers: [registry],
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: "heddle_cpu_seconds",
    help: "User and system CPU time of the process since its start",
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage();
      this.set((user + system) / 1e6);
    },
  });
  return registry;
}
