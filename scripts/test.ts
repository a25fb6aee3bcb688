// The whole test run: static checks, then unit, property, scenario and integration tests. Ends with one plain line,
// `N passed, N failed, N skipped`, and exits 1 if anything failed. `--all` runs the big matrices and soaks as well;
// `--only unit|integration|static` runs a part; further arguments filter test files.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { differences, formatDifference, type Snapshot, snapshotNetwork } from "../src/lab/demo/snapshot.ts";
import type { TestReport } from "./test-report.ts";

const root = join(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: "boolean", default: false }, only: { type: "string" } },
});
const wants = (part: string) => values.only === undefined || values.only === part;

let passed = 0;
const skipped: string[] = [];
const secondTries: string[] = [];
/** What failed and why, to be told at the end, where also a log of which only the end was kept has it. */
const failures: string[] = [];

function run(args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
    const pass = (signal: NodeJS.Signals) => child.kill(signal);
    process.on("SIGINT", pass).on("SIGTERM", pass);
    child.on("exit", (code, signal) => {
      process.off("SIGINT", pass).off("SIGTERM", pass);
      resolve(signal ? 1 : (code ?? 1));
    });
  });
}

/**
 * The machine's own network, which no test may touch: everything but neighbours, which come and go. Namespaces are not part of
 * it: another run beside this one has its own.
 */
async function ownNetwork(): Promise<Snapshot> {
  const network = new Map(await snapshotNetwork(undefined));
  network.delete("neighbour");
  return network;
}

const isRoot = process.getuid?.() === 0;
const before = isRoot ? await ownNetwork() : undefined;

if (wants("static") && positionals.length === 0) {
  if ((await run(["scripts/lint.ts"])) === 0) passed++;
  else failures.push("the static checks");
}

for (const [part, project] of [
  ["unit", "unit"],
  ["integration", "integration"],
  ["integration", "timed"],
] as const) {
  if (!wants(part)) continue;
  const dir = mkdtempSync(join(tmpdir(), "hd-test-"));
  const report = join(dir, "report.json");
  const code = await run(
    [
      "node_modules/vitest/vitest.mjs",
      "run",
      `--project=${project}`,
      "--reporter=default",
      "--reporter=./scripts/test-report.ts",
      "--passWithNoTests",
      ...positionals,
    ],
    { HEDDLE_TEST_REPORT: report, ...(values.all ? { HEDDLE_TEST_ALL: "1" } : {}) },
  );
  const result = existsSync(report) ? (JSON.parse(readFileSync(report, "utf8")) as TestReport) : undefined;
  passed += result?.passed ?? 0;
  skipped.push(...(result?.skipped ?? []));
  failures.push(...(result?.failures ?? []));
  secondTries.push(...(result?.secondTries ?? []));
  if (code !== 0 && (result?.failures ?? []).length === 0) failures.push(`the ${project} tests ended with ${code}`);
  rmSync(dir, { recursive: true, force: true });
}

if (before) {
  const touched = differences("this machine", before, await ownNetwork());
  const what = ["this machine's network is another one", ...touched.map(formatDifference)];
  if (touched.length > 0) failures.push(what.join("\n    "));
}
if (failures.length > 0) console.log(`\nfailed:\n${failures.map((f) => `  ${f}`).join("\n")}`);
if (secondTries.length > 0) console.log(`\nwell on the second try:\n  ${secondTries.join("\n  ")}`);
if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${passed} passed, ${failures.length} failed, ${skipped.length} skipped`);
process.exit(failures.length === 0 ? 0 : 1);
