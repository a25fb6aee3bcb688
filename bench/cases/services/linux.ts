import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { inNetns } from "../../../src/lab/net/ip.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import { type Figure, ratioAtMost } from "../../figure.ts";
import { findPeer } from "../../peers/peers.ts";
import { median, quantile, rounded, spread } from "../../stats.ts";
import type { BareCase, BareContext } from "../case.ts";
import { LARGE, type Side } from "./objects.ts";

/** Of a round, which begins with an empty namespace and a new process. Theirs take seconds. */
const CHANGES = { ours: 20, theirs: 8 };
const ROUNDS = 3;
const TIMEOUT_MS = 400_000;
/** As the agent has them (scripts/build.ts). */
const FLAGS = ["--optimize-for-size", "--max-semi-space-size=2", "--heap-growing-percent=20"];
const WHAT = `Linux: ${LARGE.services} services of ${LARGE.endpoints} endpoints`;

/**
 * Services in nftables, beside kube-proxy's nftables mode with the same objects, each in a network namespace of its own. Ours: from
 * what the store has to the kernel's last answer. Theirs: what kube-proxy itself counts as the time of a sync, in which it has
 * decoded the objects already, and without the delays ahead of it (minSyncPeriod).
 */
export const servicesLinux: BareCase = {
  name: "services-linux",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    const [ours, theirs]: [Side[], Side[]] = [[], []];
    const peer = await findPeer("kube-proxy");
    const scale = (changes: number) => [String(quick ? 1000 : LARGE.services), String(quick ? 4 : changes)];
    const sides = [
      { file: "ours.ts", args: scale(CHANGES.ours), into: ours },
      ...(peer ? [{ file: "theirs.ts", args: [peer.program, ...scale(CHANGES.theirs)], into: theirs }] : []),
    ];
    const rounds = quick ? 1 : ROUNDS;
    for (let round = 0; process.getuid?.() === 0 && round < rounds; round++) {
      progress(`services in nftables: round ${round + 1}${peer ? ", beside kube-proxy" : ""}`);
      for (const { file, args, into } of round % 2 === 0 ? sides : sides.toReversed()) into.push(await run(file, args));
    }
    const wrong = [...ours, ...theirs].flatMap((side) => side.wrong);
    const ofAll = (side: Side) => [side.empty];
    const ofOne = (side: Side) => side.changes;
    const p99 = (samples: readonly number[]) => quantile(samples, 0.99);
    return [
      figure(`${WHAT} from nothing`, [ours, theirs], wrong, ofAll, median),
      figure(`${WHAT}, one endpoint changed: p99, beside their median`, [ours, theirs], wrong, ofOne, p99),
    ];
  },
};

/** One side in a namespace that has nothing but loopback. */
async function run(file: string, args: readonly string[]): Promise<Side> {
  const netns = `hdb${randomBytes(4).toString("hex")}`;
  await execOk(["ip", "netns", "add", netns]);
  try {
    await execOk(["ip", "-n", netns, "link", "set", "lo", "up"]);
    const argv = [...inNetns(netns), process.execPath, ...FLAGS, join(import.meta.dirname, file), ...args];
    return JSON.parse(await execOk(argv, { timeoutMs: TIMEOUT_MS })) as Side;
  } finally {
    await execOk(["ip", "netns", "del", netns]);
  }
}

function figure(
  name: string,
  [ours, theirs]: readonly [readonly Side[], readonly Side[]],
  wrong: readonly string[],
  samplesOf: (side: Side) => readonly number[],
  of: (samples: readonly number[]) => number,
): Figure {
  const [mine, others] = [ours.flatMap(samplesOf), theirs.flatMap(samplesOf)];
  return {
    name,
    unit: "ms",
    value: of(mine),
    ...(others.length > 0 ? { peer: { name: "kube-proxy, nftables", value: median(others) } } : {}),
    target: ratioAtMost(0.5),
    samples: mine.length,
    wrong,
    notes: {
      "median, ours": rounded(median(mine)),
      "middle half, ours": spread(mine),
      ...(others.length > 0 ? { "middle half, theirs": spread(others), "samples, theirs": others.length } : {}),
    },
  };
}
