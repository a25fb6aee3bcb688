import { afterAll, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { quickCells } from "../../support/policy/catalogue/quick.ts";
import { WorldState } from "../../support/policy/catalogue/state.ts";
import { beginningBy, WAYS } from "../../support/policy/catalogue/ways.ts";
import { allCells, cellKey, type ExpectedCell, loadCatalogue } from "../../support/policy/catalogue.ts";
import { CellCounts } from "../../support/policy/cell-counts.ts";
import { LabWatch } from "../../support/policy/lab-watch.ts";
import { PolicyLab } from "../../support/policy/policy-lab.ts";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";

const isWhole = process.env["HEDDLE_TEST_ALL"] === "1";
const { seed } = Random.fromEnvironment();
const { world, cases } = loadCatalogue();
/** Every case in every way; or each in one, which the seed says, and the same of each on all dataplanes. */
const runs = cases.flatMap((c, i) =>
  isWhole
    ? WAYS.map((way) => [c.id, way, c] as const)
    : [[c.id, WAYS[(i + seed) % WAYS.length] ?? "create", c] as const],
);

onEachDataplane("the catalogue of policies, by packets", (dataplane) => {
  let lab: PolicyLab;
  let watch: LabWatch;
  let state: WorldState;
  const counts = new CellCounts(dataplane);
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
    for (const line of counts.lines(isWhole)) report(line);
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

  it.each(runs)("%s: %s", (_id, way, c) =>
    telling(async () => {
      const isProbeable = lab.probeable(c.steps);
      const quick = new Set(isWhole ? [] : quickCells(world, c, { seed }).map(cellKey));
      const judge = async (expected: readonly ExpectedCell[], what: string) => {
        const wanted = expected.filter((cell) => isWhole || quick.has(cellKey(cell)));
        const cells = wanted.filter(isProbeable);
        counts.add(c, way, cells, wanted.length - cells.length);
        expect(await lab.wrong(cells), what).toEqual([]);
      };
      const [first, ...later] = c.steps;
      if (!first) throw new Error("a case without steps");
      try {
        for (const changes of beginningBy(way, state, first)) await lab.apply(changes);
        if (way !== "delete") await judge(first.expected, first.what);
        // Those that follow are the same, however it began.
        if (way === "create" || !isWhole) {
          for (const step of later) {
            await lab.apply(state.step(step));
            if (way !== "delete") await judge(step.expected, step.what);
          }
        }
        if (way !== "delete") return;
        await lab.apply(state.end());
        const everything = allCells(world).map((cell) => ({ ...cell, allowed: true }));
        await judge(everything, "all is gone");
      } finally {
        lab.write(state.end());
      }
    }),
  );
});
