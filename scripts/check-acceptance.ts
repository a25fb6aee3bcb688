// Every row of docs/acceptance/step-*.md names what shows it: a test file (with the test's name after ::), or a command in
// backticks that begins with npm or heddlectl. A row whose test does not exist fails the check.
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const problems: string[] = [];
for (const table of globSync("docs/acceptance/step-*.md", { cwd: root })) {
  for (const [n, line] of readFileSync(join(root, table), "utf8").split("\n").entries()) {
    if (!line.startsWith("| ") || /^\| *(id|-+) *\|/.test(line)) continue;
    const cells = line.split(/(?<!\\)\|/).map((c) => c.trim());
    const id = cells[1] ?? "";
    const proof = cells[3] ?? "";
    const refs = [...proof.matchAll(/`([^`]+)`/g)].map((m) => m[1] ?? "");
    if (refs.length === 0) {
      if (!/open/i.test(cells[4] ?? "")) {
        problems.push(`${table}:${n + 1}: row ${id} names no test and is not marked open`);
      }
      continue;
    }
    for (const ref of refs) {
      if (/^(npm|npx|heddlectl) /.test(ref)) continue;
      const [file = "", name] = ref.split("::").map((s) => s.trim());
      const path = join(root, file);
      if (!existsSync(path)) problems.push(`${table}:${n + 1}: row ${id}: ${file} does not exist`);
      else if (name && !readFileSync(path, "utf8").includes(name)) {
        problems.push(`${table}:${n + 1}: row ${id}: ${file} has no test "${name}"`);
      }
    }
  }
}
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
