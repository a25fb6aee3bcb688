import { atMost, type Figure, ratioAtMost } from "../figure.ts";
import { leftovers, type WiredPod, Wiring } from "../rig/wired.ts";
import { median, rounded, spread } from "../stats.ts";
import { alternating, type Case, type CaseContext } from "./case.ts";

const MANY = 500;
const FEW = 5;
const AT_ONCE = 50;

/** What an ADD costs on a node with many pods and on one with few, in turns, and the agent's memory with many. */
export const scale: Case = {
  name: "scale",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const count = quick ? 15 : 150;
    const few = new Wiring(rig.first.launcher, rig.first.plugin);
    const many = new Wiring(rig.second.launcher, rig.second.plugin);
    progress(`${MANY} pods on each of two nodes, then all but ${FEW} gone from one`);
    // Both agents have done the same work before: neither's code is warmer than the other's.
    const filled: { wiring: Wiring; netns: string[]; pods: WiredPod[] }[] = [];
    for (const wiring of [few, many]) {
      const netns = await rig.pods.make(MANY);
      const pods: WiredPod[] = [];
      for (let i = 0; i < MANY; i += AT_ONCE) pods.push(...(await wiring.add(netns.slice(i, i + AT_ONCE))).pods);
      filled.push({ wiring, netns, pods });
    }
    const afterFill = rig.second.memory();
    const gone = filled[0]?.pods.splice(FEW) ?? [];
    for (let i = 0; i < gone.length; i += AT_ONCE) await few.delete(gone.slice(i, i + AT_ONCE));
    few.wrong.push(...(await leftovers(rig.first.netns, gone, rig.prober)));
    await rig.pods.drop(filled[0]?.netns.splice(FEW) ?? []);

    progress(`${count} ADDs and DELs with ${MANY} pods, in turns with ${FEW}`);
    const samples = { few: [] as number[], many: [] as number[] };
    const netns = await rig.pods.make(2 * count);
    const names = netns.values();
    for (let i = 0; i < count; i++) {
      const once = async (wiring: Wiring, into: number[]) => {
        const { pods, executions } = await wiring.add([names.next().value ?? ""]);
        for (const { ms } of executions) into.push(ms);
        await wiring.delete(pods);
      };
      await alternating(
        i,
        () => once(many, samples.many),
        () => once(few, samples.few),
      );
    }
    const memory = rig.second.memory();
    const held = await rig.second.pods();
    if (held !== MANY) many.wrong.push(`the agent says that it has ${held} pods, not ${MANY}`);

    for (const { wiring, netns: names, pods } of filled) {
      for (let i = 0; i < pods.length; i += AT_ONCE) await wiring.delete(pods.slice(i, i + AT_ONCE));
      await rig.pods.drop(names);
    }
    await rig.pods.drop(netns);
    const wrong = [...few.wrong, ...many.wrong];
    return [
      {
        name: `CNI ADD with ${MANY} pods on the node`,
        unit: "ms",
        value: median(samples.many),
        peer: { name: `with ${FEW}`, value: median(samples.few) },
        target: ratioAtMost(1.2),
        samples: count,
        wrong,
        notes: { [`middle half with ${MANY}`]: spread(samples.many), [`middle half with ${FEW}`]: spread(samples.few) },
      },
      {
        name: `agent's memory with ${MANY} pods`,
        unit: "MiB",
        value: memory.now,
        target: atMost(150),
        samples: 1,
        wrong: many.wrong,
        notes: {
          "right after the ADDs": `${rounded(afterFill.now)} MiB`,
          "most so far": `${rounded(memory.peak)} MiB`,
        },
      },
    ];
  },
};
