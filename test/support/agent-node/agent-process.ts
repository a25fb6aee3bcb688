import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { logTail } from "../../../src/lab/process/daemon.ts";
import { type ExecResult, exec } from "../../../src/lab/process/exec.ts";
import { janitor } from "./janitor.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const main = join(root, "cmd", "vswitch-agent", "main.ts");

/** How the agent is executed in a namespace: nsenter executes in place, so the child's pid is the agent's. */
export const agentCommand = (netns: string, config: string, ...words: readonly string[]): string[] => [
  "nsenter",
  `--net=/run/netns/${netns}`,
  "--",
  process.execPath,
  main,
  "--config",
  config,
  ...words,
];

const env = { UV_THREADPOOL_SIZE: "16" };

/** An agent from source, with the Node that runs the tests. */
export class AgentProcess {
  readonly #child: ChildProcess;
  readonly #logFile: string;
  readonly #ended: Promise<number | null>;

  private constructor(child: ChildProcess, logFile: string) {
    this.#child = child;
    this.#logFile = logFile;
    this.#ended = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
    janitor.process(child);
    void this.#ended.then(() => janitor.processEnded(child)); // never rejects
  }

  /** Does not wait until it is ready. `logFile` is appended to; `gate` is that of nftables. */
  static start(netns: string, config: string, logFile: string, gate: string): AgentProcess {
    const [file = "", ...args] = agentCommand(netns, config);
    const log = openSync(logFile, "a", 0o600);
    const child = spawn(file, args, {
      stdio: ["ignore", log, log],
      env: { ...process.env, ...env, HEDDLE_GATE: gate },
    });
    closeSync(log);
    return new AgentProcess(child, logFile);
  }

  /** Runs another command of the agent (`cleanup`) to its end. */
  static run(netns: string, config: string, ...words: readonly string[]): Promise<ExecResult> {
    return exec(agentCommand(netns, config, ...words), { env });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  logTail(): string {
    return logTail(this.#logFile, 20);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends the signal and waits for the end. Resolves with the exit status, null if it was killed. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    if (this.running) this.#child.kill(signal);
    return this.#ended;
  }
}
