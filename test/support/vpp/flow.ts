import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { NETNS_DIR } from "../../../src/lab/net/ip.ts";
import { janitor } from "../agent-node/janitor.ts";
import { until } from "../until.ts";

const PROGRAM = join(import.meta.dirname, "flow-end.ts");
let nextPort = 6200;

/** A connection between two namespaces, of TCP or of datagrams, that is opened once, and carries a little all the time. */
export class Flow implements AsyncDisposable {
  readonly #ends: readonly FlowEnd[];
  readonly #client: FlowEnd;

  private constructor(server: FlowEnd, client: FlowEnd) {
    this.#ends = [server, client];
    this.#client = client;
  }

  /** `from` and `to` are names under /run/netns. */
  static open(from: string, to: string, address: string): Promise<Flow> {
    return Flow.#between(from, to, address, { server: "serve", client: "send" });
  }

  /** To a server at `port`, by an address and port that lead there. */
  static through(
    from: string,
    to: string,
    at: { readonly address: string; readonly port: number },
    port: number,
  ): Promise<Flow> {
    return Flow.#between(from, to, at.address, { server: "serve", client: "send" }, { server: port, client: at.port });
  }

  /** Datagrams that only the server sends, after the client's first. `isWhole`: one that is missing is an error. */
  static push(from: string, to: string, address: string, { isWhole = false } = {}): Promise<Flow> {
    return Flow.#between(from, to, address, { server: "push", client: isWhole ? "hear-all" : "hear" });
  }

  static async #between(
    from: string,
    to: string,
    address: string,
    does: Readonly<Record<"client" | "server", string>>,
    ports?: Readonly<Record<"client" | "server", number>>,
  ): Promise<Flow> {
    const own = nextPort++;
    const server = new FlowEnd(to, [does.server, String(ports?.server ?? own)]);
    await until("the flow's server listens", () => server.ready);
    const client = new FlowEnd(from, [does.client, address, String(ports?.client ?? own)]);
    const flow = new Flow(server, client);
    try {
      await until(`a connection to ${address}`, () => client.ready);
    } catch (e) {
      await flow[Symbol.asyncDispose]();
      throw e;
    }
    return flow;
  }

  /** Waits until more has come back than has by now. Fails when the connection was closed, or lost something. */
  async carries(): Promise<void> {
    const { echoed } = this.#client;
    await until("the connection carries", () => {
      if (this.errors.length > 0) throw new Error(this.errors.join("; "));
      // A retransmission of what was under way is not enough: then as much again.
      return this.#client.echoed > echoed + 20;
    });
  }

  /** Whether more comes back within so many milliseconds. */
  async carriesWithin(ms: number): Promise<boolean> {
    const { echoed } = this.#client;
    await delay(ms);
    return this.#client.echoed > echoed;
  }

  /** Number of the last line or datagram that has come. */
  get last(): number {
    return this.#client.echoed;
  }

  get errors(): readonly string[] {
    return this.#ends.flatMap((end) => end.errors);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ends.map((end) => end.close()));
  }
}

class FlowEnd {
  readonly #child: ChildProcess;
  readonly errors: string[] = [];
  ready = false;
  echoed = -1;

  constructor(netns: string, args: readonly string[]) {
    const argv = [`--net=${NETNS_DIR}/${netns}`, "--", process.execPath, PROGRAM, ...args];
    const child = spawn("nsenter", argv, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    janitor.process(child);
    child.once("exit", () => janitor.processEnded(child));
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (text + chunk).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#hear(line);
    });
  }

  #hear(line: string): void {
    if (line === "ready") this.ready = true;
    else if (line.startsWith("error ")) this.errors.push(line.slice(6));
    else this.echoed = Number(line);
  }

  async close(): Promise<void> {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    child.kill("SIGKILL");
    await ended;
  }
}
