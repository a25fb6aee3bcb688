import { type ChildProcess, spawn } from "node:child_process";
import { inNetns } from "../../src/lab/net/ip.ts";
import { MARK } from "../../src/lab/process/daemon.ts";

/** One execution of a plugin. */
export interface Invocation {
  readonly program: string;
  readonly stdin: string;
  readonly env: Readonly<Record<string, string>>;
  /** Connect to the result's addresses, at this port, directly after the end. */
  readonly reach?: number;
}

/** What became of an {@link Invocation}. Times in milliseconds. */
export interface Execution {
  /** From before the fork until the end was waited for. */
  readonly ms: number;
  /** From the start of the first of those that were started together until this one's end. */
  readonly endMs: number;
  readonly status: number;
  readonly output: string;
  /** Of each address of the result: microseconds until something was read from it, or the problem: an errno's name, RETRANSMITTED. */
  readonly reached: ReadonlyMap<string, number | string>;
}

/** hdbench (launcher.cc) in a node's namespace: where a container runtime would run. */
export class Launcher implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting: { count: number; lines: string[]; resolve: (l: string[]) => void; reject: (e: Error) => void }[] =
    [];
  #partial = "";

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => this.#read(text));
    child.stdin?.on("error", () => {}); // "close" says what happened
    child.on("error", (e) => this.#end(e));
    child.on("close", (code, signal) => this.#end(new Error(`the launcher ended (${signal ?? `status ${code}`})`)));
  }

  /** `mark` is the value of the environment variable that finds the rig's processes. */
  static start(executable: string, netns: string, mark: string): Launcher {
    const [file = "", ...args]: readonly string[] = [...inNetns(netns), executable];
    const env = { ...process.env, [MARK]: mark };
    return new Launcher(spawn(file, args, { stdio: ["pipe", "pipe", "inherit"], detached: true, env }));
  }

  async run(invocation: Invocation): Promise<Execution> {
    const [execution] = await this.burst([invocation]);
    if (!execution) throw new Error("the launcher answered for no run");
    return execution;
  }

  /** Starts all at once and resolves when all have ended, in the order of the invocations. */
  async burst(invocations: readonly Invocation[]): Promise<Execution[]> {
    if (invocations.length === 0) return [];
    const lines = await new Promise<string[]>((resolve, reject) => {
      this.#waiting.push({ count: invocations.length, lines: [], resolve, reject });
      const requests = invocations.map(({ program, stdin, env, reach }, i) =>
        ["run", i, reach ?? 0, stdin, program, ...Object.entries(env).map(([k, v]) => `${k}=${v}`)].join("\t"),
      );
      this.#child.stdin?.write(`${requests.join("\n")}\ngo\n`);
    });
    const executions: Execution[] = [];
    for (const line of lines) {
      const [id = "", start = "", end = "", status = "", reached = "", output = ""] = line.split("\t");
      executions[Number(id)] = {
        ms: (Number(end) - Number(start)) / 1e6,
        endMs: Number(end) / 1e6,
        status: Number(status),
        output,
        reached: parseReached(reached),
      };
    }
    return executions;
  }

  #read(text: string): void {
    const lines = (this.#partial + text).split("\n");
    this.#partial = lines.pop() ?? "";
    for (const line of lines) {
      const [first] = this.#waiting;
      if (!first) throw new Error(`the launcher answered unasked: ${line}`);
      first.lines.push(line);
      if (first.lines.length === first.count) {
        this.#waiting.shift();
        first.resolve(first.lines);
      }
    }
  }

  #end(error: Error): void {
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.#child.once("close", () => resolve()));
    this.#child.stdin?.end();
    await ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** `10.1.2.3=120 fd00::1=ECONNREFUSED`, or `-`. */
function parseReached(text: string): Map<string, number | string> {
  if (text === "-" || text === "") return new Map();
  return new Map(
    text.split(" ").map((pair) => {
      const [address = "", result = ""] = pair.split("=");
      return [address, /^\d+$/.test(result) ? Number(result) : result];
    }),
  );
}
