import { diffLines } from "../../support/kvscheduler/diff.ts";

/** @throws Error with the difference, if there is one */
export function differ(what: string, expected: readonly string[], found: readonly string[]): void {
  if (expected.length === found.length && expected.every((line, i) => line === found[i])) return;
  const diff = diffLines(expected, found).map((line) => `    ${line}`);
  throw new Error(`${what} (- is expected and lacking, + was not expected):\n${diff.join("\n")}`);
}
