import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoNetns } from "../../support/agent-node.ts";
import { RestartLab, sent } from "../../support/restart-lab.ts";
import { everyKind } from "../../support/restart-node.ts";
import { report } from "../../support/restart-report.ts";
import { type Flow, type Losses, runTraffic } from "../../support/restart-traffic.ts";
import { watchKernel } from "../../support/restart-watch.ts";

const why = whyNoNetns();
const rounds = process.env["HEDDLE_TEST_ALL"] === "1" ? 9 : 3;
const seconds = 2;
const attempts = 4;

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
      const restartedAt = Date.now();
      await lab.lab.restart("n1", "agent", { graceful });
      // Two comparisons, so that one has begun and ended after the start.
      const compared = () =>
        lab.history("n1", restartedAt).then((h) => h.filter((txn) => txn.resync === "downstream").length);
      await expect.poll(compared, { timeout: 10_000 }).toBeGreaterThanOrEqual(2);
      const history = await lab.history("n1", restartedAt);
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
    // What a restart costs shows every time. A run that got no processor from a busy machine is one of several: the median
    // stands for its kind, and is measured again where even that was disturbed.
    let costs: string[] = [];
    for (let attempt = 0; attempt < attempts; attempt++) {
      const lost = await measure(kinds, () => runTraffic(flows, seconds));
      costs = beyondControl(lost);
      if (costs.length === 0) break;
    }
    expect(costs).toEqual([]);
  });
});

/** Losses of every kind of run, the kinds taking turns. */
async function measure(
  kinds: Readonly<Record<string, () => Promise<void>>>,
  traffic: () => Promise<Losses>,
): Promise<Record<string, Losses[]>> {
  const lost: Record<string, Losses[]> = {};
  for (let round = 0; round < rounds; round++) {
    for (const [kind, act] of Object.entries(kinds)) {
      const [losses] = await Promise.all([traffic(), act()]);
      (lost[kind] ??= []).push(losses);
    }
  }
  for (const [kind, runs] of Object.entries(lost)) {
    for (const { pings, segments, missing } of runs) {
      report(`${kind}: lost ${pings} pings, ${segments} segments, ${missing} bytes of the rate`);
    }
  }
  return lost;
}

/** What was lost with restarts, by the median, and not without, in words. */
function beyondControl(lost: Readonly<Record<string, Losses[]>>): string[] {
  const median = (kind: string, of: keyof Losses) =>
    (lost[kind] ?? []).map((run) => run[of]).sort((a, b) => a - b)[rounds >> 1] ?? Number.NaN;
  return ["kill -9", "SIGTERM"].flatMap((kind) =>
    (["pings", "segments", "missing"] as const)
      .filter((of) => !(median(kind, of) <= median("control", of)))
      .map((of) => `${kind}: ${median(kind, of)} ${of} lost, without ${median("control", of)}`),
  );
}
