// docs/guide/kvscheduler.md has a row for every behaviour of the system that the scheduler descends from: what ours is, the
// same or different and why, and the test that shows it as `file::name`. Fails when an id has no row, or a row's test does
// not exist. In a scenario file the name is a title, elsewhere that of a test or of a group of tests.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const GUIDE = "docs/guide/kvscheduler.md";

/** Families of ids, each with its last number. */
const FAMILIES: Readonly<Record<string, number>> = {
  D: 18, // what a descriptor says
  T: 18, // transactions
  G: 11, // dependencies and derived values
  R: 10, // resync
  F: 8, // failures, retries, notifications
  S: 11, // states
  O: 13, // the original's own scenarios
  U: 12, // what those left out
  W: 16, // known weaknesses of the original
  B: 12, // bad input
};
/** Not about the scheduler. */
const LEFT_OUT = new Set(["W15"]);

const required = new Set<string>();
for (const [family, last] of Object.entries(FAMILIES)) {
  for (let i = 1; i <= last; i++) if (!LEFT_OUT.has(`${family}${i}`)) required.add(`${family}${i}`);
}

const problems: string[] = [];
const seen = new Set<string>();
for (const [n, line] of readFileSync(join(root, GUIDE), "utf8").split("\n").entries()) {
  const cells = line.split(/(?<!\\)\|/).map((c) => c.trim());
  const id = cells[1] ?? "";
  if (!/^[A-Z]\d+$/.test(id)) continue;
  const where = `${GUIDE}:${n + 1}: ${id}`;
  const [, , behaviour = "", verdict = "", proof = ""] = cells;
  if (!required.has(id)) problems.push(`${where}: no such id`);
  if (seen.has(id)) problems.push(`${where}: has a row already`);
  seen.add(id);
  if (behaviour === "") problems.push(`${where}: does not say what the behaviour is`);
  if (!/^(same|different: .+)/.test(verdict)) problems.push(`${where}: must say "same", or "different: " and why`);
  const tests = [...proof.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? "");
  if (tests.length === 0) problems.push(`${where}: names no test`);
  for (const test of tests) {
    const why = defectOf(test);
    if (why !== undefined) problems.push(`${where}: ${why}`);
  }
}
for (const id of required) if (!seen.has(id)) problems.push(`${GUIDE}: no row for ${id}`);

for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);

function defectOf(test: string): string | undefined {
  const at = test.indexOf("::");
  if (at < 0) return `${test} is not file::name`;
  const file = test.slice(0, at);
  const name = test.slice(at + 2);
  const path = join(root, file);
  if (!existsSync(path)) return `${file} does not exist`;
  const text = readFileSync(path, "utf8");
  const found = file.endsWith(".txt") ? text.split("\n").includes(`== ${name}`) : namesOf(text).has(name);
  return found ? undefined : `${file} has no test ${JSON.stringify(name)}`;
}

/** What tests, groups of tests, and rows of tables of tests are called. */
function namesOf(text: string): Set<string> {
  const names = new Set<string>();
  for (const [, , name] of text.matchAll(/\b(?:test|describe|it)(?:\.each\([^)]*\))?\(\s*(["'`])(.+?)\1,/gs)) {
    names.add(name ?? "");
  }
  for (const [, name] of text.matchAll(/^\s*\[\s*"(.+?)",/gm)) names.add(name ?? "");
  return names;
}
