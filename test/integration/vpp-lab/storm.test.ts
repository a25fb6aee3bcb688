import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";
import { LabStorm } from "../../support/vpp/lab-storm.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const rounds = process.env["HEDDLE_TEST_ALL"] === "1" ? 12 : 1;
/** One of each victim. */
const killsPerRound = 3;
const workers = 3;

describe.skipIf(noVppLab)(`kill -9 at random${vppLabNote}`, () => {
  let lab: VppLab;

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 1 });
  });
  afterAll(() => lab?.close());

  it(
    `of VPP, of the agent and of both, ${rounds * killsPerRound} times during a storm of ADD and DEL, leaks nothing and loses nothing`,
    async () => {
      const random = Random.fromEnvironment();
      report(`seed ${random.seed}; repeat with HEDDLE_SEED=${random.seed}`);
      const storm = new LabStorm(lab, "n1", random);
      for (let round = 0; round < rounds; round++) {
        await storm.blow(workers, killsPerRound);
        expect(storm.broken).toEqual([]);
        expect(await storm.problems()).toEqual([]);
      }
      for (const name of storm.living) await storm.remove(name);
      expect(storm.broken).toEqual([]);
      expect(await storm.problems()).toEqual([]);
      report(`the storm: ${JSON.stringify(storm.counts)}`);
      // Else nothing was hit, and the test has shown nothing.
      const { added, deleted, addsFailed, delsRepeated } = storm.counts;
      expect(deleted).toBe(added);
      expect(addsFailed + delsRepeated).toBeGreaterThan(0);
    },
    60_000 + rounds * 60_000,
  );
});
