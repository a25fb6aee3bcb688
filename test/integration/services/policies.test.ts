import { afterAll, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { quickCells } from "../../support/policy/catalogue/quick.ts";
import { WorldState } from "../../support/policy/catalogue/state.ts";
import { allCells, type Cell, cellKey, loadCatalogue, OUTSIDE } from "../../support/policy/catalogue.ts";
import { byService, isServed, servePods } from "../../support/policy/pod-services.ts";
import { PolicyLab } from "../../support/policy/policy-lab.ts";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";

const isWhole = process.env["HEDDLE_TEST_ALL"] === "1";
const { seed } = Random.fromEnvironment();
const { world, cases } = loadCatalogue();
/** Of all cases; the run of everything has them all. */
const SHARE = 20;
const chosen = cases.filter((_case, i) => isWhole || (i + seed) % SHARE === 0);

/** Of SCTP the guide says what VPP does not serve to pods: over IPv6, to themselves, and to those whose egress is restricted. */
const isNotOnVpp = ({ from, protocol }: Cell): boolean =>
  protocol === "SCTP" && world.pods.some(({ id }) => id === from);

onEachDataplane("policies behind services, by packets", (dataplane) => {
  let lab: PolicyLab;
  let state: WorldState;
  let probed = 0;
  beforeAll(async () => {
    report(`seed ${seed}; repeat with HEDDLE_SEED=${seed}`);
    lab = await PolicyLab.up(world, dataplane);
    state = new WorldState(world, lab.facts);
    await lab.apply(state.begin());
    await lab.ready();
    await servePods(lab);
    const all = allCells(world).filter((cell) => isHere(cell, lab.probeable([])));
    const wrong = await lab.wrong(
      all.map((cell) => ({ ...cell, allowed: true })),
      byService,
    );
    expect(wrong, "without policies").toEqual([]);
  });
  afterAll(async () => {
    report(`${dataplane}: ${chosen.length} cases; ${probed} cells were probed`);
    await lab?.[Symbol.asyncDispose]();
  });

  /** Pods reach themselves by a service as well, and the outside reaches them by a port of their node. */
  const isHere = (cell: Cell, isProbeable: (cell: Cell) => boolean): boolean => {
    if (dataplane === "vpp" && isNotOnVpp(cell)) return false;
    return isServed(world, cell) && (cell.from === OUTSIDE || cell.from === cell.to || isProbeable(cell));
  };

  it.each(chosen.map((c) => [c.id, c] as const))("%s", async (_id, c) => {
    const isProbeable = lab.probeable(c.steps);
    const quick = new Set(isWhole ? [] : quickCells(world, c, { seed }).map(cellKey));
    try {
      for (const step of c.steps) {
        await lab.apply(state.step(step));
        const wanted = step.expected.filter((cell) => isWhole || quick.has(cellKey(cell)));
        const cells = wanted.filter((cell) => isHere(cell, isProbeable));
        probed += cells.length;
        expect(await lab.wrong(cells, byService), step.what).toEqual([]);
      }
    } finally {
      lab.write(state.end());
    }
  });
});
