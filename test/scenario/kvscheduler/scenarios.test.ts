import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "vitest";
import { parseScenarios } from "../../support/kvscheduler/scenario.ts";
import { runScenario } from "../../support/kvscheduler/scenario-run.ts";

// The scenarios are the .txt files beside this one; test/support/kvscheduler/scenario.ts explains how to read them.
const folder = import.meta.dirname;

for (const file of readdirSync(folder).filter((f) => f.endsWith(".txt"))) {
  describe(`scenarios of ${file}`, () => {
    for (const scenario of parseScenarios(readFileSync(join(folder, file), "utf8"))) {
      test(`${scenario.title} (line ${scenario.line})`, () => runScenario(scenario));
    }
  });
}
