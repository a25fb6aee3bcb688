import type { Reporter, TestCase } from "vitest/node";

/** Names the tests that passed on their second try only. They are worth a look, and must not go unseen. */
export default class SecondTries implements Reporter {
  readonly #names: string[] = [];

  onTestCaseResult(test: TestCase): void {
    if (test.diagnostic()?.flaky === true) this.#names.push(`${test.module.relativeModuleId}: ${test.fullName}`);
  }

  onTestRunEnd(): void {
    if (this.#names.length > 0) console.log(`\npassed on the second try:\n  ${this.#names.join("\n  ")}`);
  }
}
