import { appendFileSync } from "node:fs";
import { fullMessage } from "../../src/base/errors/errors.ts";

/** What the report's file has behind its name where second tries are told of, a line each. */
export const SECOND_TRIES = ".second-tries";

/**
 * What a suite does before its tests has no second try of vitest's, as tests have (vitest.config.ts): this gives it one. The end of
 * the run says what was wrong with the first.
 */
export async function withSecondTry<T>(what: string, attempt: () => Promise<T>): Promise<T> {
  try {
    return await attempt();
  } catch (e) {
    const line = `${what}: ${fullMessage(e)}`;
    process.stdout.write(`a second try: ${line}\n`);
    const report = process.env["HEDDLE_TEST_REPORT"];
    if (report !== undefined) appendFileSync(`${report}${SECOND_TRIES}`, `${line.replaceAll("\n", " ")}\n`);
    return attempt();
  }
}
