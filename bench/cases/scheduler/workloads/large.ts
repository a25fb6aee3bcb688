import { monitorEventLoopDelay } from "node:perf_hooks";
import { createScheduler } from "../../../../src/kvscheduler/scheduler.ts";
import { descriptors, device, route } from "./routes.ts";
import { heldMiB, Samples, type Took, tidy, timed, type Workload } from "./workload.ts";

const FEW = 1000;
const MANY = 100_000;
/** Routes that depend on one device. */
const PER_DEVICE = 100;

/**
 * One transaction of 100,000 values that depend on 1,000 others, beside one of 1,000: microseconds per value, the heap
 * that is held afterwards, the longest run of the scheduler's own code, and how late the event loop's timers were.
 */
export const large: Workload = async (quick) => {
  const out = new Samples();
  // As many values in all as in the large transaction, after as many to warm up.
  for (let pass = 0; pass < 2; pass++) {
    const took = { ms: 0, cpuMs: 0 };
    const times = quick ? 5 : MANY / FEW;
    for (let i = 0; i < times; i++) {
      const one = await fewValues();
      took.ms += one.ms;
      took.cpuMs += one.cpuMs;
    }
    out.took(pass === 0 ? "few, warming up" : "few", took, 1000 / (times * (FEW + FEW / PER_DEVICE)));
  }

  const scheduler = createScheduler();
  for (const d of descriptors()) scheduler.register(d);
  let changes: (readonly [string, unknown])[] = values(MANY);
  tidy();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await turn(); // the timer's first beat is not counted as a delay
  delay.enable();
  await turn();
  const took = await timed(() => scheduler.transact({ changes }));
  await turn();
  delay.disable();
  out.took("many", took, 1000 / changes.length);
  out.add("delay p99", delay.percentile(99) / 1e6);
  out.add("delay max", delay.max / 1e6);
  out.add("longest run", scheduler.stats().longestSliceMs);
  out.expect(scheduler.history().length > 0, "large: no history was kept");

  changes = [];
  await turn();
  out.add("heap of many", heldMiB());
  const configured = scheduler.statuses({ states: ["CONFIGURED"] }).length;
  out.expect(configured === MANY + MANY / PER_DEVICE, `large: ${configured} values are in place`);
  await scheduler.close();
  return out;
};

async function fewValues(): Promise<Took> {
  const scheduler = createScheduler();
  for (const d of descriptors()) scheduler.register(d);
  const changes = values(FEW);
  const took = await timed(() => scheduler.transact({ changes }));
  await scheduler.close();
  return took;
}

function values(count: number): (readonly [string, unknown])[] {
  const devices = count / PER_DEVICE;
  return [
    ...Array.from({ length: devices }, (_, i) => device(i)),
    ...Array.from({ length: count }, (_, i) => route(i, i % devices)),
  ];
}

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
