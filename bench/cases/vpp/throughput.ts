import { existsSync } from "node:fs";
import { type Figure, ratioAtLeast, type Target } from "../../figure.ts";
import { HandVpp } from "../../rig/hand-vpp.ts";
import { HandMade } from "../../rig/handmade.ts";
import { IPERF3, type Place, serveIperf3, tcpGbits, udpRate } from "../../rig/iperf3.ts";
import type { Rig } from "../../rig/rig.ts";
import { Wiring } from "../../rig/wired.ts";
import { median, quantile, spread } from "../../stats.ts";
import { alternating, type Case, type CaseContext } from "../case.ts";

/** Fits into a packet of every path. */
const LARGE = 1400;
const SMALL = 64;

type Measure = (from: Place, to: Place, seconds: number) => Promise<number>;
type Ends = readonly [from: Place, to: Place];

/** One way of wiring beside another, measured in one way. */
interface Comparison {
  readonly name: string;
  readonly unit: string;
  readonly peer: string;
  readonly target?: Target;
  readonly measure: Measure;
  readonly ends: (wired: Wired) => readonly [ours: Ends, theirs: Ends];
}

interface Wired {
  /** Two on one node, and one on the other. */
  readonly ours: readonly [Place, Place, Place];
  readonly byHand: readonly [Place, Place];
  /** Across nodes; they send packets that are complete. */
  readonly byHandApart: readonly [Place, Place];
  readonly kernel: readonly [Place, Place];
}

const HAND = "VPP by hand";
const onNode = ({ ours, byHand }: Wired): readonly [Ends, Ends] => [[ours[0], ours[1]], byHand];
const udp =
  (bytes: number, of: "gbits" | "perSecond"): Measure =>
  async (...args) =>
    (await udpRate(...args, bytes))[of];

const COMPARISONS: readonly Comparison[] = [
  {
    name: "VPP, pod to pod, same node: TCP",
    unit: "Gbit/s",
    peer: HAND,
    target: ratioAtLeast(0.95),
    measure: tcpGbits,
    ends: onNode,
  },
  {
    name: `VPP, pod to pod, same node: UDP, ${LARGE} bytes`,
    unit: "Gbit/s",
    peer: HAND,
    target: ratioAtLeast(0.95),
    measure: udp(LARGE, "gbits"),
    ends: onNode,
  },
  {
    name: `VPP, pod to pod, same node: packets of ${SMALL} bytes`,
    unit: "/s",
    peer: HAND,
    target: ratioAtLeast(0.95),
    measure: udp(SMALL, "perSecond"),
    ends: onNode,
  },
  {
    name: "VPP, pod to pod, same node: TCP, beside the kernel",
    unit: "Gbit/s",
    peer: "veth by hand",
    target: ratioAtLeast(0.3),
    measure: tcpGbits,
    ends: ({ ours, kernel }) => [[ours[0], ours[1]], kernel],
  },
  {
    name: "VPP, pod to pod, across nodes over VXLAN: TCP",
    unit: "Gbit/s",
    peer: `${HAND}, pods without offloads`,
    measure: tcpGbits,
    ends: ({ ours, byHandApart }) => [[ours[0], ours[2]], byHandApart],
  },
  {
    name: `VPP, pod to pod, across nodes over VXLAN: UDP, ${LARGE - 50} bytes`,
    unit: "Gbit/s",
    peer: `${HAND}, pods without offloads`,
    measure: udp(LARGE - 50, "gbits"),
    ends: ({ ours, byHandApart }) => [[ours[0], ours[2]], byHandApart],
  },
];

/** What pods get through VPP, against the same interfaces configured by hand and against the kernel. */
export const vppThroughput: Case = {
  name: "vpp-throughput",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    if ((await rig.vpp()) === undefined || !existsSync(IPERF3)) {
      const why = existsSync(IPERF3) ? [] : ["iperf3 is not installed"];
      return COMPARISONS.map((c) => figure(c, [], [], why));
    }
    const count = quick ? 2 : 15;
    const seconds = quick ? 1 : 2;
    progress("pods on VPP, and what they are compared with");
    await using cleanUp = new AsyncDisposableStack();
    const { wired, wrong, remove } = await wire(rig, cleanUp);
    await serveIperf3(rig, [wired.ours[1], wired.ours[2], wired.byHand[1], wired.byHandApart[1], wired.kernel[1]]);
    const figures: Figure[] = [];
    for (const comparison of COMPARISONS) {
      progress(`${comparison.name}: ${count} pairs of ${seconds} s`);
      const [ours, theirs] = comparison.ends(wired);
      const samples = { ours: [] as number[], theirs: [] as number[] };
      for (let i = -1; i < count; i++) {
        const once =
          ([from, to]: Ends, into: number[]) =>
          async () => {
            const value = await comparison.measure(from, to, seconds);
            if (i >= 0) into.push(value); // the first pair is a warm-up
          };
        await alternating(i, once(ours, samples.ours), once(theirs, samples.theirs));
      }
      figures.push(figure(comparison, samples.ours, samples.theirs, wrong));
    }
    await remove();
    return figures;
  },
};

async function wire(rig: Rig, cleanUp: AsyncDisposableStack) {
  const nodes = await rig.vpp();
  if (!nodes) throw new Error("there is no VPP");
  const names = await rig.pods.make(3);
  const wirings = nodes.map((node) => new Wiring(node.launcher, node.plugin));
  const added = [await wirings[0]?.add(names.slice(0, 2)), await wirings[1]?.add(names.slice(2))];
  const places = added.flatMap((one) =>
    (one?.pods ?? []).map((p): Place => ({ netns: p.sandbox.netns, ip: p.ips.find((ip) => !ip.includes(":")) ?? "" })),
  );
  const [a, b, c] = places;
  const wrong = wirings.flatMap((w) => w.wrong);
  if (!a || !b || !c) throw new Error(`pods could not be wired: ${wrong.join("; ")}`);
  const first = cleanUp.use(await HandVpp.build(rig, "va", 7));
  const second = cleanUp.use(await HandVpp.build(rig, "vb", 8));
  await first.join(second);
  await second.join(first);
  const hand = await HandMade.of(rig);
  const wired: Wired = {
    ours: [a, b, c],
    byHand: [await first.pod(), await first.pod()],
    byHandApart: [await first.pod({ complete: true }), await second.pod({ complete: true })],
    kernel: [await hand.pod("a"), await hand.pod("a")],
  };
  const remove = async () => {
    for (const [i, wiring] of wirings.entries()) await wiring.delete(added[i]?.pods ?? []);
    await rig.pods.drop(names);
  };
  return { wired, wrong, remove };
}

function figure(
  { name, unit, peer, target }: Comparison,
  ours: readonly number[],
  theirs: readonly number[],
  wrong: readonly string[],
): Figure {
  const ratios = ours.map((value, i) => value / (theirs[i] ?? Number.NaN));
  const compared = theirs.length > 0;
  return {
    name,
    unit,
    value: median(ours),
    ...(compared ? { peer: { name: peer, value: median(theirs) }, ratio: median(ratios) } : {}),
    ...(target ? { target } : {}),
    samples: ours.length,
    wrong,
    notes: compared
      ? {
          "middle half, ours": spread(ours),
          "middle half, theirs": spread(theirs),
          "ratio of pairs": `${quantile(ratios, 0.25).toFixed(2)} – ${quantile(ratios, 0.75).toFixed(2)}`,
        }
      : {},
  };
}
