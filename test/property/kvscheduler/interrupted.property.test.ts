import fc from "fast-check";
import { describe, test } from "vitest";
import { ManualClock } from "../../../src/base/clock/manual-clock.ts";
import { execute } from "./execute.ts";
import { checkScripts, RUNS } from "./script.ts";
import { steps } from "./steps.ts";

/** Time passes with every look at it, so that the scheduler finds that it has taken its share again and again. */
class HastyClock extends ManualClock {
  #looks = 0;

  override now(): number {
    return super.now() + ++this.#looks * 0.7;
  }
}

describe("a scheduler that gives the event loop a turn at every chance", () => {
  test("ends as the model says, whatever comes in between", async () => {
    const runs = Math.ceil(RUNS / 3);
    await checkScripts(fc.array(steps, { maxLength: 10 }), { runs }, async (script, start, slow) => {
      const clock = (): HastyClock => new HastyClock();
      const b = await start({ concurrency: 1 + (slow % 8), clock, ...(slow % 2 === 0 && { slow }) });
      for (const step of script) await execute(b, step);
    });
  });
});
