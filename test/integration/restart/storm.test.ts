import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { whyNoNetns } from "../../support/agent-node.ts";
import { RestartNode } from "../../support/restart-node.ts";
import { Random } from "../../support/restart-random.ts";
import { report } from "../../support/restart-report.ts";
import { changesSince, wholeState } from "../../support/restart-state.ts";
import { Storm } from "../../support/restart-storm.ts";

const why = whyNoNetns();
const kills = process.env["HEDDLE_TEST_ALL"] === "1" ? 200 : 20;
const killsPerRound = 10;
const workers = 6;

describe.skipIf(why !== undefined)(`kill -9 at random${why ? ` (skipped: ${why})` : ""}`, () => {
  let node: RestartNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await RestartNode.start();
    before = await wholeState(node.node);
  });
  afterAll(() => node?.close());

  it(
    `of the agent, ${kills} times during a storm of ADD and DEL, leaks nothing and loses nothing`,
    async () => {
      const random = Random.fromEnvironment();
      report(`seed ${random.seed}; repeat with HEDDLE_SEED=${random.seed}`);
      const storm = new Storm(node, random);
      for (let done = 0; done < kills; done += killsPerRound) {
        await storm.blow(workers, killsPerRound);
        expect(storm.broken).toEqual([]);
        expect(await storm.problems(before)).toEqual([]);
      }
      for (const pod of storm.living) await storm.remove(pod);
      expect(storm.broken).toEqual([]);
      expect(await changesSince(before, node.node)).toEqual([]);
      await node.restartAgent();
      expect(await changesSince(before, node.node)).toEqual([]);
      const { added, deleted, addsFailed, delsRepeated } = storm.counts;
      report(`the storm: ${JSON.stringify(storm.counts)}`);
      // Else nothing was hit, and the test has shown nothing.
      expect(deleted).toBe(added);
      expect(added).toBeGreaterThan(kills);
      expect(addsFailed + delsRepeated).toBeGreaterThan(0);
    },
    60_000 + kills * 6_000,
  );
});
