import type { Scheduler, Txn } from "../../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../../src/kvscheduler/scheduler.ts";
import { descriptors, device, deviceKey, route } from "./routes.ts";
import { Samples, tidy, type Workload } from "./workload.ts";

const SMALL = 50;
const LARGE = 100_000;
/** Nodes that hang together: a device and the routes over it. The same in both graphs. */
const FAMILY = 10;

/** Dry runs of one value on a small graph and on a large one, in turns: microseconds, and nodes that were looked at. */
export const dryRun: Workload = async (quick) => {
  const out = new Samples();
  const [small, large] = [await graphOf(SMALL), await graphOf(LARGE)];
  tidy();
  const rounds = quick ? 50 : 500;
  for (let round = -rounds / 5; round < rounds; round++) {
    const i = 1 + (Math.abs(round) % (SMALL / FAMILY - 1));
    for (const [what, changes] of Object.entries(changesOf(i))) {
      for (const [graph, scheduler] of [
        ["small", small],
        ["large", large],
      ] as const) {
        const start = performance.now();
        const { record } = await scheduler.transact({ changes, dryRun: true });
        const us = 1000 * (performance.now() - start);
        if (round < 0) continue; // compiling
        out.add(`${graph} dry run`, us);
        out.add(`${graph} visited`, record.nodesVisited ?? Number.NaN);
        out.expect((record.nodesVisited ?? 0) > 0, `dry run (${what}): nobody counted the nodes`);
        out.expect(record.planned.length > 0, `dry run (${what}): nothing was planned`);
      }
    }
  }
  await small.close();
  await large.close();
  return out;
};

/** One value each: a new one, one that changes, and one whose removal takes its dependents along. */
function changesOf(i: number): Record<string, NonNullable<Txn["changes"]>> {
  return {
    create: [route(200_000 + i, i)],
    update: [device(i, 9000)],
    remove: [[deviceKey(i), undefined]],
  };
}

async function graphOf(nodes: number): Promise<Scheduler> {
  const scheduler = createScheduler();
  for (const d of descriptors()) scheduler.register(d);
  const changes = Array.from({ length: nodes }, (_, i) => {
    const family = Math.floor(i / FAMILY);
    return i % FAMILY === 0 ? device(family) : route(i, family);
  });
  await scheduler.transact({ changes });
  return scheduler;
}
