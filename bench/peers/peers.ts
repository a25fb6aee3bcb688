import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { execOk } from "../../src/lab/process/exec.ts";

/** A program to compare with; see README.md beside this file. */
export interface Peer {
  readonly name: string;
  readonly program: string;
}

/** The peer's program, if it is on this machine. */
export async function findPeer(name: string): Promise<Peer | undefined> {
  const program = join(process.env["HEDDLE_BENCH_PEERS"] ?? "/opt/heddle-peers", name);
  try {
    await access(program, constants.X_OK);
    return { name, program };
  } catch {
    return undefined;
  }
}

/** The peer's samples of one case. @throws if it fails, or says something else than samples */
export async function runPeer(peer: Peer, name: string): Promise<readonly number[]> {
  const said: unknown = JSON.parse(await execOk([peer.program, "--json", "--only", name], { timeoutMs: 300_000 }));
  const samples = (said as Record<string, unknown> | null)?.[name];
  if (!Array.isArray(samples) || samples.length === 0 || !samples.every((s) => typeof s === "number")) {
    throw new Error(`${peer.program} --only ${name} gave no samples`);
  }
  return samples;
}
