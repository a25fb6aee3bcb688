import { createScheduler } from "../../../../src/kvscheduler/scheduler.ts";
import { InterfaceTable, interfaces } from "../southbound.ts";
import { passName, Samples, tidy, timed, type Workload } from "./workload.ts";

const COUNT = 5000;

/** A full resync that finds everything as it should be; what is asked for and what is found are new objects. */
export const resync: Workload = async (quick) => {
  const out = new Samples();
  const table = new InterfaceTable();
  const scheduler = createScheduler();
  scheduler.register(table.descriptor);
  await scheduler.transact({ changes: interfaces(COUNT) });
  for (let pass = 0; pass < (quick ? 2 : 20); pass++) {
    const before = { calls: table.calls, retrievals: table.retrievals };
    const changes = interfaces(COUNT);
    tidy();
    const took = await timed(() => scheduler.transact({ changes, resync: "full" }));
    out.took(passName("resync", pass, quick), took);
    const calls = table.calls - before.calls;
    const retrievals = table.retrievals - before.retrievals;
    out.expect(calls === 0, `resync: ${calls} southbound calls although nothing differs`);
    out.expect(retrievals === 1, `resync: read ${retrievals} times`);
  }
  await scheduler.close();
  return out;
};
