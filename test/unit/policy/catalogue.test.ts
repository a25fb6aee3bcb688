import { describe, expect, it } from "vitest";
import { FEATURES } from "../../support/policy/catalogue/features.ts";
import { allows, Engines, type Judge, oracleJudge } from "../../support/policy/catalogue/judges.ts";
import { pairsThatCanDiffer, quickCells } from "../../support/policy/catalogue/quick.ts";
import { type ObjectChange, WorldState } from "../../support/policy/catalogue/state.ts";
import { beginningBy, type CaseWay } from "../../support/policy/catalogue/ways.ts";
import {
  allCells,
  type Cell,
  cellKey,
  loadCatalogue,
  type PolicyCase,
  pairKey,
} from "../../support/policy/catalogue.ts";

const { world, cases } = loadCatalogue();
const files = [...new Set(cases.map((c) => c.file))];

/** Cells in which a judge is of another opinion than the case, as text. */
function differences(expected: readonly (Cell & { allowed: boolean })[], passes: Judge, name: string): string[] {
  return expected
    .filter((cell) => allows(world, passes, cell) !== cell.allowed)
    .map((cell) => `${cellKey(cell)} is to be ${cell.allowed ? "allowed" : "denied"}, not so the ${name}`);
}

/** Runs a case step by step; `look` sees every step. */
function run(
  c: PolicyCase,
  look: (step: PolicyCase["steps"][number], changes: readonly ObjectChange[], engines: Engines) => void,
): void {
  const state = new WorldState(world);
  const engines = new Engines(world);
  const changes = state.begin();
  engines.apply(changes);
  const bare = engines.rows();
  for (const step of c.steps) {
    const more = state.step(step);
    changes.push(...more);
    engines.apply(more);
    look(step, changes, engines);
  }
  engines.apply(state.end());
  expect(engines.rows()).toEqual(bare);
}

describe.each(files)("%s", (file) => {
  it.each(cases.filter((c) => c.file === file).map((c) => [c.name, c] as const))("%s", (_, c) => {
    run(c, (step, changes, engines) => {
      const wrong = [
        ...differences(step.expected, oracleJudge(world, changes), "oracle"),
        ...differences(step.expected, engines.judge(), "engine"),
      ];
      expect(wrong, `${step.what}: ${wrong.length} cells`).toEqual([]);
    });
  });
});

describe("the catalogue", () => {
  it("has 150 cases and more, no two alike", () => {
    expect(cases.length).toBeGreaterThanOrEqual(150);
    const texts = cases.map((c) => JSON.stringify(c.steps.map((s) => ({ ...s, what: "", expected: [] }))));
    expect(new Set(texts).size).toBe(cases.length);
    expect(files.length).toBeGreaterThanOrEqual(10);
  });

  it.each(Object.entries(FEATURES))("is about: %s", (_, { atLeast, isIn }) => {
    expect(cases.filter(isIn).length).toBeGreaterThanOrEqual(atLeast);
  });

  it.each<readonly [what: string, of: (c: Cell) => number | string, values: number]>([
    ["protocol", (c) => c.protocol, 3],
    ["port", (c) => c.port, 2],
    ["family", (c) => c.family, 2],
  ])("tells every %s from the others: allowed to a pair while another is denied", (_, of, values) => {
    const told = new Set<number | string>();
    for (const step of cases.flatMap((c) => c.steps)) {
      const denied = new Map<string, Set<number | string>>();
      for (const cell of step.expected) {
        if (!cell.allowed) denied.set(pairKey(cell), (denied.get(pairKey(cell)) ?? new Set()).add(of(cell)));
      }
      for (const cell of step.expected) {
        const others = denied.get(pairKey(cell));
        if (cell.allowed && others && !others.has(of(cell))) told.add(of(cell));
      }
    }
    expect(told.size).toBe(values);
  });

  it.each(["update", "labels of pods", "labels of namespaces"] as const)("comes to the same rules by: %s", (way) => {
    const rowsBy = (c: PolicyCase, one: CaseWay) => {
      const [state, engines] = [new WorldState(world), new Engines(world)];
      engines.apply(state.begin());
      const [first] = c.steps;
      if (!first) throw new Error("a case without steps");
      for (const changes of beginningBy(one, state, first)) engines.apply(changes);
      return engines.rows();
    };
    for (const c of cases) expect(rowsBy(c, way), c.id).toEqual(rowsBy(c, "create"));
  });

  it("tells what can differ from a cluster without policies", () => {
    for (const c of cases) {
      const canDiffer = pairsThatCanDiffer(world, c);
      const missed = c.steps.flatMap((s) => s.expected.filter((cell) => !cell.allowed && !canDiffer(cell)));
      expect(missed.map(cellKey), c.id).toEqual([]);
    }
  });

  it("draws a tenth of the rest, the same with the same seed", () => {
    const open = cases.find((c) => c.steps.every((s) => s.expected.every((cell) => cell.allowed)));
    expect(open).toBeDefined();
    if (!open) return;
    const drawn = quickCells(world, open, { seed: 1 }).map(cellKey);
    const all = allCells(world).length;
    expect(drawn.length / all).toBeGreaterThan(0.07);
    expect(drawn.length / all).toBeLessThan(0.13);
    expect(quickCells(world, open, { seed: 1 }).map(cellKey)).toEqual(drawn);
    expect(quickCells(world, open, { seed: 2 }).map(cellKey)).not.toEqual(drawn);
  });
});
