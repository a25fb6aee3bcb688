// The whole test run: static checks, then unit, property, scenario and integration tests. Ends with one plain line,
// `N passed, N failed, N skipped`, and exits 1 if anything failed. `--all` runs the big matrices and soaks as well;
// `--only unit|integration|static` runs a part; further arguments filter test files.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { differences, formatDifference, type Snapshot, snapshotNetwork } from "../src/lab/demo/snapshot.ts";

interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message?: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

const root = join(import.meta.dirname, "..");
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { all: { type: "boolean", default: false }, only: { type: "string" } },
});
const wants = (part: string) => values.only === undefined || values.only === part;

let passed = 0;
let failed = 0;
const skipped: string[] = [];

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
  else failed++;
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
      "--project",
      project,
      "--reporter=default",
      "--reporter=json",
      "--reporter=./scripts/second-tries.ts",
      `--outputFile=${report}`,
      "--passWithNoTests",
      ...positionals,
    ],
    values.all ? { HEDDLE_TEST_ALL: "1" } : {},
  );
  try {
    const result = JSON.parse(readFileSync(report, "utf8")) as VitestReport;
    passed += result.numPassedTests;
    // A file that can't be loaded, or a suite whose beginning or end failed: no test of it need have failed, it is a failure all the same.
    const broken = result.testResults.filter(
      (f) => f.status === "failed" && f.assertionResults.every(({ status }) => status !== "failed"),
    ).length;
    failed += result.numFailedTests + broken;
    if (code !== 0 && result.numFailedTests + broken === 0) failed++;
    for (const file of result.testResults) {
      for (const test of file.assertionResults) {
        if (test.status !== "passed" && test.status !== "failed") skipped.push(test.fullName);
      }
    }
  } catch {
    failed++;
  }
  rmSync(dir, { recursive: true, force: true });
}

if (before) {
  const touched = differences("this machine", before, await ownNetwork());
  for (const difference of touched) console.log(formatDifference(difference));
  if (touched.length > 0) failed++;
}
if (skipped.length > 0) console.log(`\nskipped:\n${skipped.map((name) => `  ${name}`).join("\n")}`);
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
process.exit(failed === 0 ? 0 : 1);
