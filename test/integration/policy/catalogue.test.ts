import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoNetns } from "../../support/agent-node.ts";
import { quickCells } from "../../support/policy/catalogue/quick.ts";
import { WorldState } from "../../support/policy/catalogue/state.ts";
import { cellKey, loadCatalogue } from "../../support/policy/catalogue.ts";
import { PolicyLab } from "../../support/policy/policy-lab.ts";
import { report } from "../../support/restart-report.ts";

const why = whyNoNetns();
const isWhole = process.env["HEDDLE_TEST_ALL"] === "1";
const seed = Number(process.env["HEDDLE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const { world, cases } = loadCatalogue();

describe.skipIf(why !== undefined)(
  `the catalogue of policies, by packets, linux${why ? ` (skipped: ${why})` : ""}`,
  () => {
    let lab: PolicyLab;
    let state: WorldState;
    let probed = 0;
    beforeAll(async () => {
      report(`seed ${seed}; repeat with HEDDLE_SEED=${seed}`);
      lab = await PolicyLab.up(world, "linux");
      state = new WorldState(world, lab.facts);
      await lab.apply(state.begin());
    });
    afterAll(async () => {
      report(`${probed} cells were probed`);
      await lab?.[Symbol.asyncDispose]();
    });

    it.each(cases.map((c) => [c.id, c] as const))("%s", async (_id, c) => {
      const isProbeable = lab.probeable(c);
      const quick = new Set(isWhole ? [] : quickCells(world, c, { seed }).map(cellKey));
      try {
        for (const step of c.steps) {
          await lab.apply(state.step(step));
          const cells = step.expected.filter((cell) => isProbeable(cell) && (isWhole || quick.has(cellKey(cell))));
          probed += cells.length;
          expect(await lab.wrong(cells), step.what).toEqual([]);
        }
      } finally {
        lab.write(state.end());
      }
    });
  },
);
