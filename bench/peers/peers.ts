import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { execOk } from "../../src/lab/process/exec.ts";

/** A program to compare with; see README.md beside this file. */
export interface Peer {
  readonly name: string;
  readonly program: string;
}

const DIRECTORIES = process.env["HEDDLE_BENCH_PEERS"]
  ? [process.env["HEDDLE_BENCH_PEERS"]]
  : ["/opt/heddle-peers", "/opt/kube/bin"];

/** The peer's program, if it is on this machine. */
export async function findPeer(name: string): Promise<Peer | undefined> {
  for (const directory of DIRECTORIES) {
    const program = join(directory, name);
    try {
      await access(program, constants.X_OK);
      return { name, program };
    } catch {
      // Or in the next one.
    }
  }
  return undefined;
}

/** The peer's samples of one case. @throws if it fails, or says something else than samples */
export async function runPeer(peer: Peer, name: string): Promise<readonly number[]> {
  const samples = (await runPeerWith(peer, ["--only", name]))[name];
  if (samples === undefined) throw new Error(`${peer.program} --only ${name} gave no samples`);
  return samples;
}

/** The peer's samples by case. @throws if it fails, or says something else than samples */
export async function runPeerWith(peer: Peer, args: readonly string[]): Promise<Record<string, readonly number[]>> {
  const said: unknown = JSON.parse(await execOk([peer.program, "--json", ...args], { timeoutMs: 300_000 }));
  if (typeof said !== "object" || said === null || !Object.values(said).every(areSamples)) {
    throw new Error(`${peer.program} ${args.join(" ")} gave no samples`);
  }
  return said as Record<string, readonly number[]>;
}

const areSamples = (said: unknown): boolean =>
  Array.isArray(said) && said.length > 0 && said.every((sample) => typeof sample === "number");
