import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { execute } from "../../property/kvscheduler/execute.ts";
import { checkScripts } from "../../property/kvscheduler/script.ts";
import { steps } from "../../property/kvscheduler/steps.ts";
import { diffLines } from "../../support/kvscheduler/diff.ts";
import { parseScenarios } from "../../support/kvscheduler/scenario.ts";
import { runScenario } from "../../support/kvscheduler/scenario-run.ts";
import { parseChanges, printChanges } from "../../support/kvscheduler/scenario-values.ts";

// What makes the scenarios worth something: they fail when they should, and say why.

function run(...lines: string[]): Promise<void> {
  return runScenario(parseScenarios(["== a scenario", ...lines].join("\n"))[0]!);
}

const TWO = ["descriptor a", "> txn", "  a/1 = x", "  a/2 = x needs a/3"];

describe("a scenario", () => {
  test("fails with its line and the difference", async () => {
    const failure = await run(...TWO, "< table", "  a/1 FAILED", "  a/2 PENDING waits for a/3").catch(
      (e: Error) => e.message,
    );
    expect(failure).toBe(
      [
        "line 6, < table: this is not what was found (- is expected and lacking, + was not expected):",
        "    - a/1 FAILED",
        "    + a/1 CONFIGURED",
        "      a/2 PENDING waits for a/3",
      ].join("\n"),
    );
  });

  const wrong: [string, string[], RegExp][] = [
    ["a line too few", [...TWO, "< table", "  a/1 CONFIGURED"], /\+ a\/2 PENDING/],
    ["a line too many", [...TWO, "< ops", "  create a/1", "  create a/2"], /- create a\/2/],
    [
      "another order",
      ["descriptor a", "> txn", "  a/1 = x", "  a/2 = x", "< ops", "  create a/2", "  create a/1"],
      /-/,
    ],
    ["an unknown happening", ["> explode"], /nothing happens by this name/],
    ["an unknown look", ["< mood"], /nothing to look at by this name/],
    ["an unknown flag", ["descriptor a no-delete"], /unknown word no-delete; there are: no-update/],
    ["an unknown fault", ["descriptor a", "> fail a/1 sometimes"], /not a fault: sometimes; there are: before/],
    ["an unknown word in a value", ["descriptor a", "> txn", "  a/1 = x wants a/2"], /unknown word in a value: wants/],
    ["a line that is neither value nor deletion", ["descriptor a", "> txn", "  a/1"], /expected KEY = VALUE or KEY -/],
    [
      "a complaint of the southbound",
      ["descriptor a no-retrieve", "> txn", "  a/1 = x", "> vanish a/1", "> txn", "  a/1 = y"],
      /update of a\/1, which does not exist/,
    ],
  ];
  test.each(wrong)("fails because of %s", async (_, lines, why) => {
    await expect(run(...lines)).rejects.toThrow(why);
  });

  test("is not run without a title", () => {
    expect(() => parseScenarios("descriptor a")).toThrow(/line 1: before the first == title/);
    expect(() => parseScenarios("== x\n  a/1 = x")).toThrow(/line 2: indented, but nothing to belong to/);
    expect(() => parseScenarios("== x\nwhatever")).toThrow(/line 2: expected descriptor, scheduler, > or </);
  });
});

describe("text", () => {
  test("of changes says all that they are", () => {
    fc.assert(
      fc.property(steps, (step) => {
        if (!("changes" in step)) return;
        const again = parseChanges(printChanges(step.changes));
        expect(JSON.stringify(again)).toBe(JSON.stringify(parseChanges(printChanges(again))));
        expect(printChanges(again)).toEqual(printChanges(step.changes));
        expect(again.map(([key]) => key)).toEqual(step.changes.map(([key]) => key));
      }),
    );
  });

  test("of a difference keeps what is the same", () => {
    expect(diffLines(["a", "b", "c"], ["a", "x", "c", "d"])).toEqual(["  a", "- b", "+ x", "  c", "+ d"]);
    expect(diffLines([], [])).toEqual([]);
  });
});

describe("a random script that fails", () => {
  test("is shrunk, and printed as a scenario that can be run again", async () => {
    const report = await checkScripts(
      fc.array(steps, { maxLength: 12 }),
      { runs: 200, seed: 7 },
      async (script, start) => {
        const b = await start({ concurrency: 8 });
        for (const step of script) {
          await execute(b, step);
          if (b.run.southbound.stored.has("a/3")) throw new Error("a/3 is there");
        }
      },
    ).catch((e: Error) => e.message);
    expect(report).toMatch(/^KVS_SEED=7, after \d+ scripts and \d+ steps of shrinking:/);
    expect(report).toContain("Error: a/3 is there");
    const text = report!.slice(report!.indexOf("=="), report!.indexOf("\n\nError"));
    const happened = text.split("\n").filter((line) => /^(>| {2}\S)/.test(line));
    expect(happened).toEqual(["> resync full", "> txn hanging", "  a/3 = w", "  a/3 = w"]);
    for (const scenario of parseScenarios(text)) await runScenario(scenario);
  });
});
