import { afterAll, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { quickCells } from "../../support/policy/catalogue/quick.ts";
import { WorldState } from "../../support/policy/catalogue/state.ts";
import { cellKey, loadCatalogue } from "../../support/policy/catalogue.ts";
import { LabWatch } from "../../support/policy/lab-watch.ts";
import { PolicyLab } from "../../support/policy/policy-lab.ts";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";

const isWhole = process.env["HEDDLE_TEST_ALL"] === "1";
const { seed } = Random.fromEnvironment();
const { world, cases } = loadCatalogue();
onEachDataplane("the catalogue of policies, by packets", (dataplane) => {
  let lab: PolicyLab;
  let watch: LabWatch;
  let state: WorldState;
  let probed = 0;
  let leftOut = 0;
  beforeAll(async () => {
    report(`seed ${seed}; repeat with HEDDLE_SEED=${seed}`);
    lab = await PolicyLab.up(world, dataplane);
    state = new WorldState(world, lab.facts);
    watch = LabWatch.from(lab.nodes);
    await telling(async () => {
      await lab.apply(state.begin());
      report(`${dataplane}: without policies everything passed within ${await lab.ready()} ms`);
    });
  });
  afterAll(async () => {
    if (!watch) return;
    report(`${dataplane}: ${cases.length} cases; ${probed} cells were probed, ${leftOut} cannot be here`);
    const changes = watch.changes();
    await lab[Symbol.asyncDispose]();
    expect(changes, "nobody was started again").toEqual([]);
  });

  /** With what the agents have to say, when it fails. */
  async function telling(act: () => Promise<void>): Promise<void> {
    try {
      await act();
    } catch (e) {
      if (e instanceof Error) e.message += `\n${await watch.words()}`;
      throw e;
    }
  }

  it.each(cases.map((c) => [c.id, c] as const))("%s", (_id, c) =>
    telling(async () => {
      const isProbeable = lab.probeable(c.steps);
      const quick = new Set(isWhole ? [] : quickCells(world, c, { seed }).map(cellKey));
      try {
        for (const step of c.steps) {
          await lab.apply(state.step(step));
          const wanted = step.expected.filter((cell) => isWhole || quick.has(cellKey(cell)));
          const cells = wanted.filter(isProbeable);
          leftOut += wanted.length - cells.length;
          probed += cells.length;
          expect(await lab.wrong(cells), step.what).toEqual([]);
        }
      } finally {
        lab.write(state.end());
      }
    }),
  );
});
