import { atMost, type Figure, ratioAtMost } from "../figure.ts";
import { leftovers, type WiredPod, Wiring } from "../rig/wired.ts";
import { median, rounded, spread } from "../stats.ts";
import type { Case, CaseContext } from "./case.ts";

const MANY = 500;
const FEW = 5;
const AT_ONCE = 50;

/**
 * What an ADD costs on a node with many pods and with few, and the agent's memory with many. Blocks of measurements with
 * few pods lie before and behind each with many: what changes with time changes both. The other pods' namespaces go with
 * them, since what the kernel needs for more namespaces is part of the cost.
 */
export const scale: Case = {
  name: "scale",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const rounds = quick ? 1 : 3;
    const perBlock = quick ? 15 : 50;
    const node = rig.first;
    const wiring = new Wiring(node.launcher, node.plugin);
    const samples = { few: [] as number[], many: [] as number[] };
    const memory: { now: number; peak: number }[] = [];

    const measure = async (into: number[]) => {
      const names = await rig.pods.make(perBlock);
      for (const netns of names) {
        const { pods, executions } = await wiring.add([netns]);
        for (const { ms } of executions) into.push(ms);
        await wiring.delete(pods);
      }
      await rig.pods.drop(names);
    };
    const fill = async (count: number) => {
      const names = await rig.pods.make(count);
      const pods: WiredPod[] = [];
      for (let i = 0; i < count; i += AT_ONCE) pods.push(...(await wiring.add(names.slice(i, i + AT_ONCE))).pods);
      return async () => {
        for (let i = 0; i < count; i += AT_ONCE) await wiring.delete(pods.slice(i, i + AT_ONCE));
        wiring.wrong.push(...(await leftovers(node.netns, pods, rig.prober)));
        await rig.pods.drop(names);
      };
    };

    const dropFew = await fill(FEW);
    for (let round = 0; round < rounds; round++) {
      progress(`ADDs with ${FEW} and with ${MANY} pods, round ${round + 1} of ${rounds}`);
      await measure(samples.few);
      const dropMany = await fill(MANY - FEW);
      await measure(samples.many);
      memory.push(node.memory());
      const held = await node.pods();
      if (held !== MANY) wiring.wrong.push(`the agent says that it has ${held} pods, not ${MANY}`);
      await dropMany();
    }
    await measure(samples.few);
    await dropFew();

    const resident = memory.map((m) => m.now);
    return [
      {
        name: `CNI ADD with ${MANY} pods on the node`,
        unit: "ms",
        value: median(samples.many),
        peer: { name: `with ${FEW}`, value: median(samples.few) },
        target: ratioAtMost(1.2),
        samples: samples.many.length,
        wrong: wiring.wrong,
        notes: { [`middle half with ${MANY}`]: spread(samples.many), [`middle half with ${FEW}`]: spread(samples.few) },
      },
      {
        name: `agent's memory with ${MANY} pods`,
        unit: "MiB",
        value: Math.max(...resident),
        target: atMost(150),
        samples: memory.length,
        wrong: wiring.wrong,
        notes: {
          "each round": resident.map(rounded).join(" "),
          "most at any time": rounded(Math.max(...memory.map((m) => m.peak))),
        },
      },
    ];
  },
};
