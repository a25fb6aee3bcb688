import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { RealVpp } from "../../../test/support/vpp/real-vpp.ts";

/** What a side says after a step. */
export interface Step {
  readonly seconds: number;
  /** What there is to see that the work was done. */
  readonly count: number;
}

/** One of the two programs that do the same work; it takes one step at a time. */
export class Side implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #stderr = "";

  private constructor(argv: readonly string[], env: NodeJS.ProcessEnv) {
    const [file = "", ...args] = argv;
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], env });
    child.stdin.on("error", () => {}); // it ended, which the next step reports
    child.on("error", (e) => (this.#stderr += e.message));
    child.stderr.on("data", (chunk: Buffer) => (this.#stderr = `${this.#stderr}${chunk.toString()}`.slice(-2000)));
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  static ours(vpp: RealVpp): Side {
    const program = join(import.meta.dirname, "ours.ts");
    return new Side([process.execPath, program, vpp.socket, vpp.apiDirectory], process.env);
  }

  /** @param papi the directory of VPP's Python client */
  static theirs(vpp: RealVpp, papi: string): Side {
    const program = join(import.meta.dirname, "theirs.py");
    return new Side(["python3", program, vpp.socket, vpp.apiDirectory], { ...process.env, PYTHONPATH: papi });
  }

  /** @throws with what the program wrote last, if it ends instead of an answer */
  async step(name: string, count?: number): Promise<Step> {
    this.#child.stdin?.write(`${name}${count === undefined ? "" : ` ${count}`}\n`);
    const line = await this.#lines.next();
    if (line.done === true) throw new Error(`${this.#child.spawnargs.join(" ")} ended in ${name}: ${this.#stderr}`);
    return JSON.parse(line.value) as Step;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null || this.#child.pid === undefined) return;
    const ended = once(this.#child, "close");
    this.#child.stdin?.end();
    await ended;
  }
}
