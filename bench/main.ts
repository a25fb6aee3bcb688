// The figures that Heddle is held to, measured on this machine: `npm run bench -- [--only NAME] [--quick] [--check]`.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { execOk } from "../src/lab/process/exec.ts";
import { burst } from "./cases/burst.ts";
import type { BareCase, Case } from "./cases/case.ts";
import { reflectorMemory } from "./cases/ksr/memory.ts";
import { reflector } from "./cases/ksr/reflector.ts";
import { policyPeer } from "./cases/policy/compared/compared.ts";
import { policyEngine } from "./cases/policy/engine.ts";
import { policyMemory, policyThroughput } from "./cases/policy/pods.ts";
import { policyPropagation } from "./cases/policy/propagation.ts";
import { ready } from "./cases/ready.ts";
import { scale } from "./cases/scale.ts";
import { scheduler } from "./cases/scheduler/scheduler.ts";
import { serial } from "./cases/serial.ts";
import { servicesFirstPacket } from "./cases/services/clients.ts";
import { servicesLinux } from "./cases/services/linux.ts";
import { servicesMemory } from "./cases/services/memory.ts";
import { throughput } from "./cases/throughput.ts";
import { vppMemif } from "./cases/vpp/memif.ts";
import { vppAdd, vppInSync, vppResync } from "./cases/vpp/pods.ts";
import { vppServices } from "./cases/vpp/services.ts";
import { vppStats } from "./cases/vpp/stats.ts";
import { vppThroughput } from "./cases/vpp/throughput.ts";
import { vppApi } from "./cases/vpp-api/vpp-api.ts";
import { type Figure, judge } from "./figure.ts";
import { makeReport, renderReport } from "./report.ts";
import { Rig } from "./rig/rig.ts";

// Those without a rig come first: nothing of it runs beside them.
const CASES: readonly (Case | BareCase)[] = [
  scheduler,
  policyEngine,
  policyPeer,
  reflector,
  reflectorMemory,
  vppApi,
  vppStats,
  vppServices,
  servicesLinux,
  vppMemif,
  serial,
  burst,
  ready,
  throughput,
  scale,
  policyPropagation,
  policyThroughput,
  policyMemory,
  servicesFirstPacket,
  servicesMemory,
  vppAdd,
  vppResync,
  vppInSync,
  vppThroughput,
];

const USAGE = `usage: npm run bench -- [--only NAME]... [--quick] [--check] [--agent "PROGRAM ARGS"]
  --only   ${CASES.map((c) => c.name).join(", ")}
  --quick  few samples: shows that it works, judges nothing
  --check  exit 1 unless every figure is met
  --agent  another agent than dist/bin/heddle-agent, to compare builds`;

const root = join(import.meta.dirname, "..");

function options() {
  try {
    const { values } = parseArgs({
      options: {
        only: { type: "string", multiple: true, default: [] },
        quick: { type: "boolean", default: false },
        check: { type: "boolean", default: false },
        agent: { type: "string" },
      },
    });
    const unknown = values.only.filter((name) => !CASES.some((c) => c.name === name));
    if (unknown.length > 0) throw new Error(`there is no ${unknown.join(", ")}`);
    return values;
  } catch (e) {
    console.error(`bench: ${(e as Error).message}\n${USAGE}`);
    return process.exit(2);
  }
}

const { only, quick, check, agent } = options();
const cases = CASES.filter((c) => only.length === 0 || only.includes(c.name));
const onRig = cases.some((c) => c.bare !== true);
if (onRig && process.getuid?.() !== 0) {
  console.error("bench: it makes network namespaces: run it as root");
  process.exit(2);
}

let rig: Rig | undefined;
let interrupted = false;
for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    console.error("bench: cleaning up");
    interrupted = true;
    // What is being measured fails when its ground goes; nobody is interested any more.
    process.on("unhandledRejection", () => {});
    void Promise.resolve(rig?.close()).finally(() => process.exit(status));
  });
}

const progress = (line: string) => console.error(`bench: ${line}`);

async function build(): Promise<Rig> {
  await execOk(["sh", join(root, "scripts/build-bench.sh")]);
  progress("two nodes, a store, two agents");
  const launcher = join(root, "dist/bin/hdbench");
  return Rig.up({ launcher, ...(agent === undefined ? {} : { agent: agent.split(" ") }) }, (made) => {
    rig = made;
  });
}

await using cleanUp = new AsyncDisposableStack();
let up: Rig | undefined;

async function prepare(one: Case | BareCase): Promise<() => Promise<Figure[]>> {
  if (one.bare === true) return () => one.run({ quick, progress });
  up ??= cleanUp.use(await build());
  const context = { rig: up, quick, progress };
  return () => one.run(context);
}

const figures: Figure[] = [];
for (const one of cases) {
  const run = await prepare(one);
  try {
    figures.push(...(await run()));
  } catch (e) {
    if (interrupted) await new Promise(() => {}); // the signal's handler ends the process
    // The others are worth having all the same; what this one may have left goes with the rig.
    console.error(`bench: ${one.name} failed:`, e);
    process.exitCode = 1;
  }
}

const report = makeReport(figures.map(judge), quick);
console.log(await renderReport(report));
const results = join(root, "bench/results");
mkdirSync(results, { recursive: true });
for (const name of [report.at.replaceAll(":", "-"), "latest"]) {
  writeFileSync(join(results, `${name}.json`), `${JSON.stringify(report, null, 2)}\n`);
}
if (check && report.figures.some((f) => f.verdict !== "met" && f.verdict !== "reported")) process.exitCode = 1;
