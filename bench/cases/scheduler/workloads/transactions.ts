import { createScheduler } from "../../../../src/kvscheduler/scheduler.ts";
import { InterfaceTable, interfaces } from "../southbound.ts";
import { passName, Samples, type Took, tidy, timed, type Workload } from "./workload.ts";

const COUNT = 5000;

/**
 * 5,000 transactions of one value each; one transaction of 5,000 values; and a loop that does as little as can be done:
 * write a map, wait for the southbound, keep one record for each. Microseconds for each value.
 */
export const transactions: Workload = async (quick) => {
  const out = new Samples();
  for (let pass = 0; pass < (quick ? 2 : 20); pass++) {
    for (const [what, run] of [
      ["sequential", sequential],
      ["plain", plainLoop],
      ["creates", creates],
    ] as const) {
      tidy();
      out.took(passName(what, pass, quick), await run(out), 1000 / COUNT);
    }
  }
  return out;
};

async function sequential(out: Samples): Promise<Took> {
  const table = new InterfaceTable();
  const scheduler = createScheduler();
  scheduler.register(table.descriptor);
  const items = interfaces(COUNT);
  let errors = 0;
  const took = await timed(async () => {
    for (const item of items) errors += (await scheduler.transact({ changes: [item] })).errors.size;
  });
  out.expect(errors === 0 && table.values.size === COUNT, `sequential: ${table.values.size} values, ${errors} errors`);
  out.expect(scheduler.history().length > 0, "sequential: no history was kept");
  await scheduler.close();
  return took;
}

async function creates(out: Samples): Promise<Took> {
  const table = new InterfaceTable();
  const scheduler = createScheduler();
  scheduler.register(table.descriptor);
  const changes = interfaces(COUNT);
  const took = await timed(() => scheduler.transact({ changes }));
  out.expect(table.values.size === COUNT, `creates: ${table.values.size} values`);
  out.expect(scheduler.history().length > 0, "creates: no history was kept");
  await scheduler.close();
  return took;
}

async function plainLoop(out: Samples): Promise<Took> {
  const { descriptor, values } = new InterfaceTable();
  const items = interfaces(COUNT);
  const wanted = new Map<string, unknown>();
  const records: unknown[] = [];
  const context = { signal: new AbortController().signal, txn: 0, metadata: () => undefined };
  const took = await timed(async () => {
    for (const [key, value] of items) {
      wanted.set(key, value);
      const metadata = await descriptor.create(key, value, context);
      records.push({ op: "create", key, value, metadata, at: Date.now() });
    }
  });
  out.expect(values.size === COUNT && records.length === COUNT, "plain: values are missing");
  return took;
}
