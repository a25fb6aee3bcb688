// Static checks, each one by name: types, lint, format, import boundaries, dead code, acceptance tables.
import { spawnSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const node = (...args: string[]): [string, string[]] => [process.execPath, args];
const bin = (name: string, ...args: string[]): [string, string[]] => [join(root, "node_modules/.bin", name), args];

const checks: readonly [string, [string, string[]]][] = [
  ["types", node("node_modules/typescript/bin/tsc", "--noEmit", "-p", ".")],
  ["lint", bin("oxlint", "--type-aware", "--deny-warnings")],
  ["format", bin("biome", "check", "--error-on-warnings")],
  [
    "boundaries",
    node("node_modules/dependency-cruiser/bin/dependency-cruise.mjs", "--output-type", "err", "src", "cmd"),
  ],
  ["dead code", node("node_modules/knip/bin/knip.js", "--no-progress")],
  ["generated files", node("scripts/gen.ts", "--check")],
  ["acceptance tables", node("scripts/check-acceptance.ts")],
  ["scheduler's behaviours", node("scripts/check-behaviours.ts")],
];

let bad = 0;
for (const [name, [command, args]] of checks) {
  const result = spawnSync(command, args, { cwd: root, encoding: "utf8" });
  const ok = result.status === 0;
  console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
  if (ok) continue;
  bad++;
  console.log(`${result.stdout}${result.stderr}`.trimEnd());
}
process.exit(bad === 0 ? 0 : 1);
