// Runs one workload and prints what it measured: child.ts NAME [--quick]
import { heldMiB, type Measured, type Workload } from "./workloads/workload.ts";

/** Nothing of the scheduler is loaded before its workload is: the empty process is one of them. */
const LOADERS: Readonly<Record<string, () => Promise<Workload>>> = {
  transactions: async () => (await import("./workloads/transactions.ts")).transactions,
  bridge: async () => (await import("./workloads/bridge.ts")).bridge,
  resync: async () => (await import("./workloads/resync.ts")).resync,
  "dry-run": async () => (await import("./workloads/dry-run.ts")).dryRun,
  large: async () => (await import("./workloads/large.ts")).large,
  empty: async () => empty,
};

async function empty(): Promise<Measured> {
  return { samples: { heap: [heldMiB()] }, wrong: [] };
}

const [name = "", mode] = process.argv.slice(2);
const load = LOADERS[name];
if (load === undefined) throw new Error(`no workload ${name}`);
const measured = await (await load())(mode === "--quick");
process.stdout.write(`${JSON.stringify(measured)}\n`);
