import { existsSync } from "node:fs";
import { type Figure, ratioAtLeast } from "../figure.ts";
import { HandMade } from "../rig/handmade.ts";
import { IPERF3, type Place, serveIperf3, tcpGbits } from "../rig/iperf3.ts";
import type { Rig } from "../rig/rig.ts";
import { Wiring } from "../rig/wired.ts";
import { median, quantile, spread } from "../stats.ts";
import { alternating, type Case, type CaseContext } from "./case.ts";

/** TCP between two pods, one way of wiring beside the other. */
interface Pair {
  readonly name: string;
  readonly peer: string;
  readonly ours: readonly [from: Place, to: Place];
  readonly theirs: readonly [from: Place, to: Place];
}

/** Pod-to-pod TCP throughput, against the same thing wired by hand. */
export const throughput: Case = {
  name: "throughput",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    if (!existsSync(IPERF3)) {
      return ["same node", "across nodes"].map((where) =>
        figure(`pod to pod, ${where}`, "", [], [], ["iperf3 is not installed"]),
      );
    }
    const count = quick ? 3 : 15;
    const seconds = quick ? 1 : 2;
    const [names, first, second] = await wireOurs(rig);
    const [x1, x2] = first.pods;
    const [x3] = second.pods;
    const hand = await HandMade.of(rig);
    const [h1, h2, h3] = [await hand.pod("a"), await hand.pod("a"), await hand.pod("b")];
    if (!x1 || !x2 || !x3) throw new Error(`pods could not be wired: ${[...first.wrong, ...second.wrong].join("; ")}`);
    const pairs: Pair[] = [
      { name: "pod to pod, same node", peer: "veth by hand", ours: [x1, x2], theirs: [h1, h2] },
      { name: "pod to pod, across nodes over VXLAN", peer: "VXLAN by hand", ours: [x1, x3], theirs: [h1, h3] },
    ];
    await serveIperf3(rig, [x2, x3, h2, h3]);

    const figures: Figure[] = [];
    for (const { name, peer, ours, theirs } of pairs) {
      progress(`TCP, ${name}: ${count} pairs of ${seconds} s`);
      const samples = { ours: [] as number[], theirs: [] as number[] };
      for (let i = -1; i < count; i++) {
        const once = async ([from, to]: readonly [Place, Place], into: number[]) => {
          const gbits = await tcpGbits(from, to, seconds);
          if (i >= 0) into.push(gbits); // the first pair is a warm-up
        };
        await alternating(
          i,
          () => once(ours, samples.ours),
          () => once(theirs, samples.theirs),
        );
      }
      figures.push(figure(name, peer, samples.ours, samples.theirs, [...first.wrong, ...second.wrong]));
    }
    await first.remove();
    await second.remove();
    await rig.pods.drop(names);
    return figures;
  },
};

function figure(
  name: string,
  peer: string,
  ours: readonly number[],
  theirs: readonly number[],
  wrong: string[],
): Figure {
  const ratios = ours.map((value, i) => value / (theirs[i] ?? Number.NaN));
  return {
    name,
    unit: "Gbit/s",
    value: median(ours),
    ...(theirs.length > 0 ? { peer: { name: peer, value: median(theirs) }, ratio: median(ratios) } : {}),
    target: ratioAtLeast(0.95),
    samples: ours.length,
    wrong,
    notes:
      ours.length === 0
        ? {}
        : {
            "middle half, ours": spread(ours),
            "middle half, theirs": spread(theirs),
            "ratio of pairs": `${quantile(ratios, 0.25).toFixed(2)} – ${quantile(ratios, 0.75).toFixed(2)}`,
          },
  };
}

/** Two pods on the first node and one on the second, by their IPv4 addresses. */
async function wireOurs(rig: Rig) {
  const names = await rig.pods.make(3);
  const wire = async (node: typeof rig.first, netns: readonly string[]) => {
    const wiring = new Wiring(node.launcher, node.plugin);
    const { pods } = await wiring.add(netns);
    const found: Place[] = pods.map((p) => ({
      netns: p.sandbox.netns,
      ip: p.ips.find((ip) => !ip.includes(":")) ?? "",
    }));
    return { pods: found, wrong: wiring.wrong, remove: () => wiring.delete(pods) };
  };
  return [names, await wire(rig.first, names.slice(0, 2)), await wire(rig.second, names.slice(2))] as const;
}
