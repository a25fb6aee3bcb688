import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execOk } from "../../../../src/lab/process/exec.ts";
import { type Figure, ratioAtMost } from "../../../figure.ts";
import { findPeer, type Peer, runPeerWith } from "../../../peers/peers.ts";
import { median, quantile, rounded, spread } from "../../../stats.ts";
import { alternating, type BareCase, type BareContext } from "../../case.ts";
import { CHANGES, comparedData, type NameServers } from "./objects.ts";

const LARGE = { pods: 10_000, namespaces: 1000, policies: 1000, locals: 110 };
/** Of a round's changes the first undoes the second, and the third the fourth. */
const CHANGES_A_ROUND = 4;

/** Sets of data. One change takes the original a third of a second, or seconds. */
const SETS: readonly { readonly of: NameServers; readonly rounds: number; readonly theirs: number }[] = [
  { of: "anybody", rounds: 300, theirs: 5 },
  { of: "all pods", rounds: 30, theirs: 1 },
];

const CHILD = join(import.meta.dirname, "child.ts");

/** From Kubernetes' objects to the lists of VPP's ACL plugin, beside the original's policy plugin. */
export const policyPeer: BareCase = {
  name: "policy-peer",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    const peer = await findPeer("contiv-policy");
    const figures: Figure[] = [];
    for (const set of SETS) {
      const directory = await mkdtemp(join(tmpdir(), "heddle-bench-"));
      try {
        const path = join(directory, "objects.json");
        const rounds = quick ? 3 : set.rounds;
        await writeFile(path, JSON.stringify(comparedData({ ...LARGE, nameServers: set.of, rounds })));
        const measured = new Measured();
        for (let i = 0; i < (quick ? 1 : 3); i++) {
          progress(`policies, port 53 of ${set.of}, run ${i + 1}${peer ? `, interleaved with ${peer.name}` : ""}`);
          const theirs = peer && !quick ? () => measured.runTheirs(i, peer, path, set.theirs) : undefined;
          await alternating(i, () => measured.runOurs(i, path), theirs);
        }
        figures.push(...figuresOf(measured, set.of, peer));
      } finally {
        await rm(directory, { recursive: true });
      }
    }
    return figures;
  },
};

type Samples = Readonly<Record<string, readonly number[]>>;

/** Samples by name, run by run. */
class Measured {
  readonly ours: Samples[] = [];
  readonly theirs: Samples[] = [];
  readonly wrong: string[] = [];

  async runOurs(run: number, path: string): Promise<void> {
    const said = await execOk([process.execPath, CHILD, path], { timeoutMs: 300_000 });
    const { samples, wrong } = JSON.parse(said) as { samples: Samples; wrong: string[] };
    this.ours[run] = samples;
    this.wrong.push(...wrong);
  }

  async runTheirs(run: number, peer: Peer, path: string, rounds: number): Promise<void> {
    const changes = String(rounds * CHANGES_A_ROUND);
    this.theirs[run] = await runPeerWith(peer, ["--data", path, "--changes", changes]);
  }
}

function figuresOf({ ours, theirs, wrong }: Measured, set: NameServers, peer: Peer | undefined): Figure[] {
  const names = { scratch: "from scratch, CPU", relabelled: "", removed: "", added: "" };
  for (const change of CHANGES) names[change] = `one pod ${change}`;
  return Object.entries(names).map(([sample, what]) => {
    const mine = ours.flatMap((samples) => samples[sample] ?? []);
    const others = theirs.flatMap((samples) => samples[sample] ?? []);
    const ratios = theirs.map((samples, run) => median(ours[run]?.[sample] ?? []) / median(samples[sample] ?? []));
    const present = peer !== undefined && others.length > 0;
    return {
      name: `policies to VPP's lists, port 53 of ${set}: ${what}`,
      unit: "ms",
      value: median(mine),
      ...(present ? { peer: { name: peer.name, value: median(others) }, ratio: median(ratios) } : {}),
      target: ratioAtMost(1),
      samples: present ? others.length : mine.length,
      wrong,
      notes: {
        of: `${LARGE.pods} pods, ${LARGE.policies} policies, ${LARGE.locals} local pods`,
        "p99, ours": rounded(quantile(mine, 0.99)),
        ...(present ? { "samples, ours": mine.length, "middle half, theirs": spread(others) } : {}),
      },
    };
  });
}
