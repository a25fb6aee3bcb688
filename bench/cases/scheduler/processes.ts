import { join } from "node:path";
import { execOk } from "../../../src/lab/process/exec.ts";
import type { Measured } from "./workloads/workload.ts";

const CHILD = join(import.meta.dirname, "child.ts");

/**
 * Where pauses are measured the young generation is as small as in the agent (scripts/build.ts): in Node's default one a
 * single collection takes up to 20 ms when most of it survives.
 */
const FLAGS: Readonly<Record<string, readonly string[]>> = { large: ["--max-semi-space-size=2"] };

/** Runs a workload in a process of its own. */
export async function runWorkload(name: string, quick: boolean): Promise<Measured> {
  const flags = ["--expose-gc", ...(FLAGS[name] ?? [])];
  const argv = [process.execPath, ...flags, CHILD, name, ...(quick ? ["--quick"] : [])];
  return JSON.parse(await execOk(argv, { timeoutMs: 300_000 })) as Measured;
}

/** One case's samples, round by round: sides that are compared were measured in the same round. */
export class Rounds {
  readonly #wrong = new Map<string, string[]>();
  readonly #rounds = new Map<string, (readonly number[])[]>();

  add(round: number, samples: Readonly<Record<string, readonly number[]>>): void {
    for (const [name, list] of Object.entries(samples)) {
      const rounds = this.#rounds.get(name) ?? [];
      rounds[round] = list;
      this.#rounds.set(name, rounds);
    }
  }

  addWrong(workload: string, what: readonly string[]): void {
    this.#wrong.set(workload, [...this.wrong(workload), ...what]);
  }

  wrong(workload: string): readonly string[] {
    return this.#wrong.get(workload) ?? [];
  }

  all(name: string): number[] {
    return this.rounds(name).flatMap((samples) => samples ?? []);
  }

  /** May have holes: a side need not have been measured in every round. */
  rounds(name: string): readonly (readonly number[] | undefined)[] {
    return this.#rounds.get(name) ?? [];
  }
}
