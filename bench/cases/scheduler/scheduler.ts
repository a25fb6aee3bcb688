import type { Figure } from "../../figure.ts";
import { findPeer, type Peer, runPeer } from "../../peers/peers.ts";
import type { BareCase, BareContext } from "../case.ts";
import { figuresOf } from "./figures.ts";
import { Rounds, runWorkload } from "./processes.ts";

/** The peer's cases that are measured right after each workload. */
const WORKLOADS: readonly { readonly name: string; readonly theirs: readonly string[] }[] = [
  { name: "transactions", theirs: ["sequential", "creates"] },
  { name: "bridge", theirs: ["bridge-1000", "bridge-10000"] },
  { name: "resync", theirs: ["resync"] },
  { name: "dry-run", theirs: ["dry-run"] },
  { name: "empty", theirs: [] },
  { name: "large", theirs: [] },
];

/**
 * The KVScheduler alone, over a southbound in memory, as it is shipped: history, deadlines and validation are on, and
 * descriptors answer with promises. Each workload has a process of its own in each round; its first pass, before the
 * code is compiled, is told apart. Between the rounds' workloads the original runs, where it is on this machine.
 */
export const scheduler: BareCase = {
  name: "scheduler",
  bare: true,
  async run({ quick, progress }: BareContext): Promise<Figure[]> {
    const peer = await findPeer("ligato-kvscheduler");
    const rounds = quick ? 1 : 3;
    const measured = new Rounds();
    for (let round = 0; round < rounds; round++) {
      progress(`the scheduler alone, round ${round + 1} of ${rounds}${peer ? `, interleaved with ${peer.name}` : ""}`);
      for (const { name, theirs } of WORKLOADS) {
        const { samples, wrong } = await runWorkload(name, quick);
        measured.add(round, samples);
        measured.addWrong(name, wrong);
        if (peer !== undefined && !quick) await compare(measured, round, peer, theirs);
      }
    }
    return figuresOf(measured, peer);
  },
};

async function compare(measured: Rounds, round: number, peer: Peer, cases: readonly string[]): Promise<void> {
  for (const name of cases) measured.add(round, { [`theirs ${name}`]: await runPeer(peer, name) });
}
