import { ECHO_PORT } from "../../src/lab/probe/client.ts";
import { atMost, type Figure } from "../figure.ts";
import { type WiredPod, Wiring } from "../rig/wired.ts";
import { median, rounded } from "../stats.ts";
import type { Case, CaseContext } from "./case.ts";

const PODS = 100;
const AT_ONCE = 50;

/** How long an agent that was killed needs until it serves again. */
export const ready: Case = {
  name: "ready",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const count = quick ? 2 : 9;
    const node = rig.first;
    const wiring = new Wiring(node.launcher, node.plugin);
    const netns = await rig.pods.make(PODS);
    const pods: WiredPod[] = [];
    for (let i = 0; i < PODS; i += AT_ONCE) pods.push(...(await wiring.add(netns.slice(i, i + AT_ONCE))).pods);
    progress(`${count} restarts of an agent with ${PODS} pods`);
    const samples: number[] = [];
    for (let i = 0; i < count; i++) {
      await node.kill();
      samples.push(await node.start());
    }
    const held = await node.pods();
    if (held !== PODS) wiring.wrong.push(`the agent says that it has ${held} pods, not ${PODS}`);
    for (const address of pods.flatMap((pod) => pod.ips)) {
      const answer = await rig.prober.probe("tcp", node.netns, address, { port: ECHO_PORT });
      if (!answer.ok) wiring.wrong.push(`${address} after the restarts: ${answer.error}`);
    }
    await wiring.delete(pods);
    await rig.pods.drop(netns);
    return [
      {
        name: `agent ready with ${PODS} pods`,
        unit: "ms",
        value: median(samples),
        target: atMost(1000),
        samples: count,
        wrong: wiring.wrong,
        notes: { "each start": samples.map(rounded).join(" ") },
      },
    ];
  },
};
