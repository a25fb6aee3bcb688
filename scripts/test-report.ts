import { existsSync, readFileSync, writeFileSync } from "node:fs";
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from "vitest/node";
import { SECOND_TRIES } from "../test/support/second-try.ts";

/** What one run of vitest came to. */
export interface TestReport {
  readonly passed: number;
  /** Each with where it was, and the beginning of its text; also files that can't be loaded, and suites whose beginning or end failed. */
  readonly failures: readonly string[];
  readonly skipped: readonly string[];
  /** What passed, or came up, on its second try only: worth a look, and not to go unseen. */
  readonly secondTries: readonly string[];
}

/** Lines of a failure's text that say what and where; the whole of it is in vitest's own output. */
const LINES = 8;

/**
 * Writes a {@link TestReport} to the file that the environment variable HEDDLE_TEST_REPORT names. Tests tell of second tries of
 * their own in a file beside it (test/support/second-try.ts).
 */
export default class implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const failures = unhandled.map((e) => outline("outside of any test", [e]));
    const secondTries: string[] = [];
    const skipped: string[] = [];
    let passed = 0;

    const seeSuite = (suite: TestModule | TestSuite, name: string): void => {
      const errors = suite.errors();
      if (errors.length > 0) failures.push(outline(name, errors));
    };
    const seeTest = (test: TestCase): void => {
      const { state, errors } = test.result();
      if (state === "passed") passed++;
      else if (state === "failed") failures.push(outline(test.fullName, errors));
      else skipped.push(test.fullName);
      if (test.diagnostic()?.flaky === true) secondTries.push(`${test.module.relativeModuleId}: ${test.fullName}`);
    };
    for (const module of modules) {
      seeSuite(module, module.relativeModuleId);
      for (const suite of module.children.allSuites()) seeSuite(suite, `${module.relativeModuleId}: ${suite.fullName}`);
      for (const test of module.children.allTests()) seeTest(test);
    }

    const file = process.env["HEDDLE_TEST_REPORT"];
    if (file === undefined) return;
    const told = `${file}${SECOND_TRIES}`;
    if (existsSync(told)) secondTries.push(...readFileSync(told, "utf8").trimEnd().split("\n"));
    writeFileSync(file, JSON.stringify({ passed, failures, skipped, secondTries } satisfies TestReport));
  }
}

function outline(name: string, errors: readonly SerializedError[]): string {
  const lines = errors.flatMap(({ message, stack = "" }) => [
    ...message.split("\n"),
    ...stack.split("\n").filter((line) => /^ *at /.test(line) && !/node_modules|node:internal|<anonymous>/.test(line)),
  ]);
  return [name, ...lines.slice(0, LINES)].join("\n    ");
}
