import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

onEachDataplane("pods that went away without a DEL", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane, config: { cni: { sweepSeconds: 1 } } });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  const used = async () => (await node.status()).addresses.map((pool) => pool.used);

  it.each(["while the agent ran", "while there was no agent"])(
    "%s give back their addresses, host ports and whatever else they had",
    async (when) => {
      const runtimeConfig = { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] };
      const kept = await node.wiredPod();
      const withKept = await node.snapshot();
      const [gone, replaced] = [await node.wiredPod({ runtimeConfig }), await node.wiredPod()];
      expect(await used()).toEqual([3, 3]);
      if (when === "while there was no agent") await node.agent.end("SIGKILL");
      for (const pod of [gone, replaced]) await node.deleteNetns(pod.netns);
      // Somebody else's by now.
      await node.addNetns(replaced.netns);
      if (when === "while there was no agent") await node.startAgent();
      await until("their addresses are free", async () => (await used()).every((n) => n === 1), 15_000);
      await expect.poll(() => node.differencesTo(withKept), { timeout: 5000 }).toEqual([]);
      expect(await kept.check()).toEqual(silent);
      // The runtime may still come to remove them.
      await gone.del({ runtimeConfig });
      await replaced.del();
      const next = await node.wiredPod({ runtimeConfig });
      await node.removePod(next);
      await node.removePod(kept);
      await node.deleteNetns(replaced.netns);
      expect(await node.differencesTo(before)).toEqual([]);
    },
  );
});
