import { PAPI_PATH } from "../../../test/support/vpp/papi.ts";
import { type RealVpp, VPP_BINARY } from "../../../test/support/vpp/real-vpp.ts";
import { type Figure, ratioAtLeast, ratioAtMost, type Target } from "../../figure.ts";
import { withBareVpp } from "../../rig/bare-vpp.ts";
import { median, spread } from "../../stats.ts";
import { alternating, type BareCase, type BareContext } from "../case.ts";
import { Side } from "./sides.ts";

const PEER = "vpp_papi";

/** What is measured: a step of ours, and the one of theirs that it stands beside. */
interface Row {
  readonly name: string;
  readonly target: Target;
  readonly ours: string;
  readonly theirs: string;
}

const CONNECT: Row = {
  name: "VPP API: files loaded and connected",
  target: ratioAtMost(1),
  ours: "connect",
  theirs: "connect",
};
const RATES: readonly Row[] = [
  { name: "VPP API: control_ping, one at a time", target: ratioAtLeast(4), ours: "ping", theirs: "ping" },
  { name: "VPP API: control_ping, pipelined", target: ratioAtLeast(80), ours: "pipelined", theirs: "ping" },
  { name: "VPP API: 10,000 routes added", target: ratioAtLeast(40), ours: "add", theirs: "add" },
  { name: "VPP API: 10,000 routes dumped", target: ratioAtLeast(10), ours: "dump", theirs: "dump" },
];

/**
 * Our client of VPP's binary API beside VPP's own Python client, each in a process of its own, on one VPP, taking turns.
 * Theirs has one request under way at a time: it has no other way. Without VPP or its Python client nothing is compared.
 */
export const vppApi: BareCase = {
  name: "vpp-api",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    if (VPP_BINARY === undefined || process.getuid?.() !== 0) {
      progress("VPP's API: no VPP on this machine, or not root, who may make its namespace");
      return [CONNECT, ...RATES].map((row) => figure(row, new Samples(), []));
    }
    const samples = new Samples();
    const wrong: string[] = [];
    await withBareVpp(async (vpp) => {
      await connects(vpp, quick ? 1 : 9, samples, progress);
      await rates(vpp, quick ? 1 : 5, samples, wrong, progress);
    });
    return [CONNECT, ...RATES].map((row) => figure(row, samples, wrong));
  },
};

/** Seconds, or a rate per second, of each side, round by round. */
class Samples {
  readonly ours = new Map<string, number[]>();
  readonly theirs = new Map<string, number[]>();
}

function add(side: Map<string, number[]>, name: string, value: number): void {
  const list = side.get(name) ?? [];
  side.set(name, list);
  list.push(value);
}

/** In new processes, modules loaded: nothing is compiled or cached but by the system. */
async function connects(vpp: RealVpp, rounds: number, samples: Samples, progress: Progress): Promise<void> {
  progress(`VPP's API files loaded and connected, ${rounds} times`);
  const papi = PAPI_PATH;
  const once = async (start: () => Side, to: Map<string, number[]>) => {
    await using side = start();
    add(to, "connect", (await side.step("connect")).seconds);
  };
  for (let round = 0; round < rounds; round++) {
    await alternating(
      round,
      () => once(() => Side.ours(vpp), samples.ours),
      papi === undefined ? undefined : () => once(() => Side.theirs(vpp, papi), samples.theirs),
    );
  }
}

type Progress = BareContext["progress"];

/** Both sides stay for all rounds; the first one, in which code is compiled, does not count. */
async function rates(
  vpp: RealVpp,
  rounds: number,
  samples: Samples,
  wrong: string[],
  progress: Progress,
): Promise<void> {
  await using ours = Side.ours(vpp);
  await using theirs = PAPI_PATH === undefined ? undefined : Side.theirs(vpp, PAPI_PATH);
  await ours.step("connect");
  await theirs?.step("connect");
  await ours.step("loopback");
  const routes = 10_000;
  /** The work whose result `count` has to be; a side that did something else proves nothing. */
  const timed = async (side: Side, to: Map<string, number[]> | undefined, name: string, amount: number) => {
    const { seconds, count } = await side.step(name, name === "dump" ? undefined : amount);
    // The dump has the routes of the loopback's own address besides.
    if (name === "dump" ? count < amount || count > amount + 10 : count !== amount) {
      wrong.push(`${name} of ${amount} gave ${count}`);
    }
    if (to) add(to, name, amount / seconds);
  };
  const both = (round: number, a: (to?: Map<string, number[]>) => Promise<void>, b: typeof a) => {
    const counts = round >= 0;
    return alternating(
      round,
      () => a(counts ? samples.ours : undefined),
      theirs && (() => b(counts ? samples.theirs : undefined)),
    );
  };
  for (let round = -1; round < rounds; round++) {
    progress(round < 0 ? "VPP's API: once, to compile" : `VPP's API: round ${round + 1} of ${rounds}`);
    const pings = async (to?: Map<string, number[]>) => {
      await timed(ours, to, "ping", 5000);
      await timed(ours, to, "pipelined", 50_000);
    };
    await both(round, pings, async (to) => theirs && timed(theirs, to, "ping", 2000));
    const work = (side: Side | undefined) => async (to?: Map<string, number[]>) => {
      if (!side) return;
      await timed(side, to, "add", routes);
      await timed(side, to, "dump", routes);
      await ours.step("remove", routes);
    };
    await both(round, work(ours), work(theirs));
  }
}

function figure(row: Row, samples: Samples, wrong: readonly string[]): Figure {
  const isConnect = row === CONNECT;
  const scaled = (list: readonly number[] = []) => list.map((s) => (isConnect ? s * 1000 : s));
  const ours = scaled(samples.ours.get(row.ours));
  const theirs = scaled(samples.theirs.get(row.theirs));
  const compared = theirs.length > 0;
  return {
    name: row.name,
    unit: isConnect ? "ms" : "/s",
    value: median(ours),
    ...(compared ? { peer: { name: PEER, value: median(theirs) } } : {}),
    // Each round's pair was measured in the same minute.
    ...(compared ? { ratio: median(ours.map((o, i) => o / (theirs[i] ?? Number.NaN))) } : {}),
    target: row.target,
    samples: ours.length,
    wrong,
    notes: compared ? { "middle half, ours": spread(ours), "middle half, theirs": spread(theirs) } : {},
  };
}
