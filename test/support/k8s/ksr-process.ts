import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePort } from "../etcd.ts";

const root = join(import.meta.dirname, "../../..");

/** What `/status` answers, of what tests look at. */
export interface KsrAnswer {
  readonly role: "leader" | "stand-by";
  readonly identity: string;
  readonly resources?: Readonly<Record<string, string>>;
  readonly problems: readonly string[];
}

/** heddle-ksr in a process of its own. */
export class KsrProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #port: number;
  #said = "";

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.#port = port;
    child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  /** `--set` options, or others. */
  static async start(...args: string[]): Promise<KsrProcess> {
    const port = await freePort();
    const command = [join(root, "cmd/ksr/main.ts"), ...args, `--set=rest=127.0.0.1:${port}`, "--set=log.level=warn"];
    const node = join(root, "node_modules/.bin/node");
    return new KsrProcess(spawn(node, command, { stdio: ["ignore", "ignore", "pipe"] }), port);
  }

  get said(): string {
    return this.#said;
  }

  async get(path: string): Promise<{ status: number; text: string }> {
    const answer = await fetch(`http://127.0.0.1:${this.#port}${path}`);
    return { status: answer.status, text: await answer.text() };
  }

  /** Undefined before it answers. */
  async status(): Promise<KsrAnswer | undefined> {
    if (this.#child.exitCode !== null) throw new Error(`heddle-ksr ended with ${this.#child.exitCode}: ${this.#said}`);
    const answer = await this.get("/status").catch(() => undefined);
    return answer && (JSON.parse(answer.text) as KsrAnswer);
  }

  async isReady(): Promise<boolean> {
    return (await this.get("/readyz").catch(() => undefined))?.status === 200;
  }

  /** Returns when it is gone. */
  async kill(signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill(signal);
    await gone;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}
