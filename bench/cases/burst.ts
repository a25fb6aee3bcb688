import { atMost, type Figure, ratioAtMost } from "../figure.ts";
import type { Execution } from "../rig/launcher.ts";
import { leftovers, Wiring } from "../rig/wired.ts";
import { median, rounded, spread } from "../stats.ts";
import { alternating, type Case, type CaseContext } from "./case.ts";

const PODS = 100;

/** 100 ADDs at once, then 100 DELs at once, in turns with the stock plugin; and how the agent's loop takes it. */
export const burst: Case = {
  name: "burst",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const rounds = quick ? 2 : 9;
    const stock = await rig.stock();
    const ours = {
      wiring: new Wiring(rig.first.launcher, rig.first.plugin),
      adds: [] as number[],
      dels: [] as number[],
    };
    const theirs = stock && {
      wiring: new Wiring(stock.launcher, stock.plugin),
      adds: [] as number[],
      dels: [] as number[],
    };
    const delays: { p99: number; max: number }[] = [];

    // The first round is a warm-up.
    for (let round = -1; round < rounds; round++) {
      if (round >= 0) progress(`${PODS} ADDs and DELs at once, round ${round + 1} of ${rounds}`);
      const once = async (side: typeof ours) => {
        const netns = await rig.pods.make(PODS);
        if (side === ours) await rig.first.loopDelay(); // forgets what was before
        const { pods, executions } = await side.wiring.add(netns);
        const dels = await side.wiring.delete(pods);
        if (side === ours) {
          if (round >= 0) delays.push(await rig.first.loopDelay());
          side.wiring.wrong.push(...(await leftovers(rig.first.netns, pods, rig.prober)));
        }
        if (round >= 0) {
          side.adds.push(untilLast(executions));
          side.dels.push(untilLast(dels));
        }
        await rig.pods.drop(netns);
      };
      await alternating(round, () => once(ours), theirs && (() => once(theirs)));
    }

    const compare = (what: "adds" | "dels", bound: number): Figure => ({
      name: `${PODS} ${what === "adds" ? "ADDs" : "DELs"} at once`,
      unit: "ms",
      value: median(ours[what]),
      ...(theirs ? { peer: { name: theirs.wiring.plugin.name, value: median(theirs[what]) } } : {}),
      target: ratioAtMost(bound),
      samples: ours[what].length,
      wrong: ours.wiring.wrong,
      notes: {
        "middle half, ours": spread(ours[what]),
        ...(theirs ? { "middle half, theirs": spread(theirs[what]) } : {}),
        ...(theirs && theirs.wiring.wrong.length > 0 ? { "problems of theirs": theirs.wiring.wrong.length } : {}),
      },
    });
    const delay = (name: string, values: number[], value: number, bound: number): Figure => ({
      name,
      unit: "ms",
      value,
      target: atMost(bound),
      samples: values.length,
      wrong: ours.wiring.wrong,
      notes: { "each burst": values.map(rounded).join(" ") },
    });
    const p99s = delays.map((d) => d.p99);
    const most = delays.map((d) => d.max);
    return [
      compare("adds", 0.7),
      compare("dels", 0.3),
      delay("event-loop delay in a burst, p99", p99s, median(p99s), 20),
      delay("event-loop delay in a burst, maximum", most, Math.max(...most), 100),
    ];
  },
};

const untilLast = (executions: readonly Execution[]): number => Math.max(...executions.map((e) => e.endMs));
