import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoNetns } from "../../support/agent-node.ts";
import { RestartLab, sent } from "../../support/restart-lab.ts";
import { everyKind } from "../../support/restart-node.ts";
import { report } from "../../support/restart-report.ts";
import { type Flow, type Losses, runTraffic } from "../../support/restart-traffic.ts";
import { watchKernel } from "../../support/restart-watch.ts";

const why = whyNoNetns();
const rounds = process.env["HEDDLE_TEST_ALL"] === "1" ? 8 : 2;
const seconds = 2;

describe.skipIf(why !== undefined)(`an agent's restart${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: RestartLab;
  let flows: Flow[];

  beforeAll(async () => {
    lab = await RestartLab.up({ nodes: 2, healing: 1 });
    await lab.lab.addPod("t/a", "n1");
    await lab.lab.addPod("t/b", "n1");
    await lab.lab.addPod("t/c", "n2");
    // Not under traffic, which is to be lost by nobody's shaping.
    await lab.lab.addPod("t/all", "n1", everyKind(8001));
    const netns = (pod: string) => lab.lab.pod(pod).netns;
    flows = ["t/b", "t/c"].map((to) => ({
      from: netns("t/a"),
      to: netns(to),
      addresses: lab.lab.pod(to).ips,
    }));
  });
  afterAll(() => lab?.close());

  it("sends the kernel nothing when nothing is wrong, neither at the start nor when it compares later", async () => {
    for (const graceful of [false, true]) {
      await using watch = await watchKernel(lab.lab.netnsOf("n1"));
      await using inPod = await watchKernel(lab.lab.netnsOf("t/all"));
      await lab.lab.restart("n1", "agent", { graceful });
      // Two comparisons, so that one has begun and ended after the start.
      const compared = () => lab.history("n1").then((h) => h.filter((txn) => txn.resync === "downstream").length);
      await expect.poll(compared, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
      const history = await lab.history("n1");
      expect(history[0]).toMatchObject({ resync: "full" });
      expect(sent(history)).toEqual([]);
      expect(await watch.changes()).toEqual([]);
      expect(await inPod.changes()).toEqual([]);
    }
  });

  it("costs running connections nothing: no more is lost than without one", async () => {
    const restart = (graceful: boolean) => async (): Promise<void> => {
      await delay(300);
      await Promise.all(["n1", "n2"].map((node) => lab.lab.restart(node, "agent", { graceful })));
    };
    const kinds: Record<string, () => Promise<void>> = {
      control: async () => {},
      "kill -9": restart(false),
      SIGTERM: restart(true),
    };
    const lost: Record<string, Losses[]> = {};
    for (let round = 0; round < rounds; round++) {
      for (const [kind, act] of Object.entries(kinds)) {
        const [losses] = await Promise.all([runTraffic(flows, seconds), act()]);
        (lost[kind] ??= []).push(losses);
      }
    }
    for (const [kind, runs] of Object.entries(lost)) {
      for (const { pings, segments, missing } of runs) {
        report(`${kind}: lost ${pings} pings, ${segments} segments, ${missing} bytes of the rate`);
      }
    }
    const total = (kind: string, of: keyof Losses) => (lost[kind] ?? []).reduce((sum, run) => sum + run[of], 0);
    for (const kind of ["kill -9", "SIGTERM"]) {
      for (const of of ["pings", "segments", "missing"] as const) {
        expect(total(kind, of), `${of} lost with ${kind}`).toBeLessThanOrEqual(total("control", of));
      }
    }
  });
});
