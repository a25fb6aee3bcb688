import fc from "fast-check";
import { Bench, type BenchOptions } from "./bench.ts";
import { execute } from "./execute.ts";
import type { Step } from "./steps.ts";

/** How many scripts each property tries, and from which seed. */
export const RUNS = Number(process.env["KVS_RUNS"] ?? 300);
export const SEED = Number(process.env["KVS_SEED"] ?? Date.now() & 0x7fffffff);

/**
 * Checks `property` for random scripts. A failure is shrunk, and reported as a scenario that can be put into a file.
 * @param body gets a function that makes benches; whatever it throws is a failure
 */
export async function checkScripts(
  arbitrary: fc.Arbitrary<readonly Step[]>,
  options: { readonly runs: number; readonly seed?: number },
  body: (script: readonly Step[], start: (o: BenchOptions) => Promise<Bench>, slow: number) => Promise<void>,
): Promise<void> {
  const seed = options.seed ?? SEED;
  let failure: { title: string; scenario: string; error: unknown } | undefined;
  const property = fc.asyncProperty(arbitrary, fc.nat(), async (script, slow) => {
    const benches: Bench[] = [];
    const start = async (o: BenchOptions): Promise<Bench> => {
      const b = await Bench.start(o);
      benches.push(b);
      return b;
    };
    try {
      await body(script, start, slow);
    } catch (error) {
      const scenarios = benches.map((b) => b.scenario("found by a random script"));
      failure = { title: "", scenario: scenarios.join("\n\n"), error };
      throw error;
    } finally {
      for (const b of benches) await b.run.scheduler.close();
    }
  });
  const result = await fc.check(property, { numRuns: options.runs, seed });
  if (!result.failed || failure === undefined) return;
  const { scenario, error } = failure;
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  throw new Error(
    `KVS_SEED=${seed}, after ${result.numRuns} scripts and ${result.numShrinks} steps of shrinking:\n\n${scenario}\n\n${why}`,
  );
}

/**
 * Runs a long script against one bench; a failure is shrunk by leaving out parts. Crashes are left out: each would make a
 * new scheduler, with an empty memory.
 * @param after called after each step
 * @throws Error with the shortest script that was found to fail, as a scenario
 */
export async function runLong(
  script: readonly Step[],
  options: BenchOptions,
  after: (b: Bench, step: number) => void,
): Promise<Bench> {
  let rest = script.filter((step) => step.kind !== "crash");
  const first = await tryLong(rest, options, after);
  if (first.failure === undefined) return first.b;
  let last = first;
  rest = rest.slice(0, last.at + 1);
  for (let size = rest.length >> 1; size >= 1; size >>= 1) {
    for (let i = 0; i < rest.length; ) {
      const shorter = [...rest.slice(0, i), ...rest.slice(i + size)];
      const run = await tryLong(shorter, options, () => undefined);
      if (run.failure === undefined) {
        i += size;
      } else {
        rest = shorter.slice(0, run.at + 1);
        last = run;
      }
    }
  }
  const why = last.failure instanceof Error ? (last.failure.stack ?? last.failure.message) : String(last.failure);
  throw new Error(`KVS_SEED=${SEED}:\n\n${last.b.scenario("found by a long script")}\n\n${why}`);
}

async function tryLong(
  script: readonly Step[],
  options: BenchOptions,
  after: (b: Bench, step: number) => void,
): Promise<{ b: Bench; at: number; failure?: unknown }> {
  const b = await Bench.start(options);
  for (const [at, step] of script.entries()) {
    try {
      await execute(b, step);
      after(b, at);
    } catch (failure) {
      await b.run.scheduler.close();
      return { b, at, failure };
    }
  }
  return { b, at: script.length };
}
