import fc from "fast-check";
import { describe, test } from "vitest";
import { renderOps } from "../../../src/kvscheduler/render.ts";
import type { Bench } from "./bench.ts";
import { differ } from "./differ.ts";
import { execute, settled } from "./execute.ts";
import { checkScripts, RUNS } from "./script.ts";
import { steps } from "./steps.ts";

describe("any sequence of transactions, notifications, failures, crashes and resyncs", () => {
  test("ends as the model says, in an order that respects every dependency", async () => {
    await checkScripts(fc.array(steps, { maxLength: 12 }), { runs: RUNS }, async (script, start, slow) => {
      const b = await start({ concurrency: 8, ...(slow % 2 === 0 && { slow }) });
      for (const step of script) await execute(b, step);
      b.run.southbound.takeOps();
      await b.play("> resync downstream");
      const ops = b.run.southbound.takeOps().filter((op) => !op.startsWith("retrieve"));
      differ("what a resync does that finds nothing wrong", [], ops);
      settled(b);
    });
  });

  test("has the same outcome whether 64 operations run at once or one after another", async () => {
    await checkScripts(fc.array(steps, { maxLength: 10 }), { runs: RUNS }, async (script, start, slow) => {
      const serial = await start({ concurrency: 1 });
      const concurrent = await start({ concurrency: 64, slow });
      for (const step of script) {
        await execute(serial, step);
        await execute(concurrent, step);
        differ("states", serial.states(), concurrent.states());
      }
    });
  });

  test("plans the same text for the same graph and the same transaction", async () => {
    await checkScripts(
      fc.array(steps, { maxLength: 8 }),
      { runs: Math.ceil(RUNS / 3) },
      async (script, start, slow) => {
        const quick = await start({ concurrency: 8 });
        const slowly = await start({ concurrency: 8, slow });
        for (const step of script) {
          if (step.kind === "crash") continue; // how far a transaction got before it depends on who answers first
          await execute(quick, step);
          await execute(slowly, step);
        }
        differ("plans", plans(quick), plans(slowly));
      },
    );
  });
});

function plans(b: Bench): string[] {
  return b.run.scheduler.history().map((r) => renderOps(r.planned));
}
