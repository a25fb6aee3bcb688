import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { GATEWAY_MAC } from "../../../src/models/linux.ts";
import { until } from "../../support/until.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const PODS = ["x/hostile", "x/near", "x/far"] as const;
const SCRIPT = join(import.meta.dirname, "..", "..", "support", "vpp", "hostile-frames.py");

describe.skipIf(noVppLab)(`a pod that sends what no kernel would${vppLabNote}`, () => {
  let lab: VppLab;

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2 });
    for (const pod of PODS) await lab.lab.addPod(pod, pod === "x/far" ? "n2" : "n1");
  });
  afterAll(() => lab?.close());

  const targets: Record<string, () => string> = {
    "a pod of its node": () => lab.lab.pod("x/near").ips[0] ?? "",
    "a pod of another node": () => lab.lab.pod("x/far").ips[0] ?? "",
    "its node": () => lab.lab.node("n1").underlay[0] ?? "",
    "another node": () => lab.lab.node("n2").underlay[0] ?? "",
    "the outside": () => underlayPlan.outside.v4,
  };

  it.each(Object.keys(targets))("to %s wedges nobody, and ends no VPP", async (name) => {
    const pids = ["n1", "n2"].map((node) => lab.vppPid(node));
    const to = targets[name]?.() ?? "";
    for (const seed of ["1", "2", "3"]) {
      const { stdout } = await lab.lab.exec("x/hostile", ["python3", SCRIPT, to, GATEWAY_MAC, seed]);
      const [, sent = 0] = /^sent (\d+)/.exec(stdout) ?? [];
      // The pod's own kernel refuses most of them.
      expect(Number(sent)).toBeGreaterThan(20);
    }
    // Its own packets may still be in the way for a moment.
    await until("everybody is reached again", async () => (await lab.unreachable([...PODS, "n1", "n2"])).length === 0);
    expect(["n1", "n2"].map((node) => lab.vppPid(node))).toEqual(pids);
  });
});
