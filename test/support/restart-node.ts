import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { FaultPoint } from "../../src/base/faults/fault-point.ts";
import { ECHO_PORT } from "../../src/lab/probe/client.ts";
import { logTail } from "../../src/lab/process/daemon.ts";
import { janitor } from "./agent-node/janitor.ts";
import { AgentNode, type AgentNodeOptions, type TestPod, UNDERLAY } from "./agent-node.ts";
import { until } from "./until.ts";

const agentProgram = join(import.meta.dirname, "..", "..", "dist", "bin", "heddle-agent");

/** What makes every kind of item: a host port, of two protocols, and both directions shaped. */
export const everyKind = (hostPort: number) => ({
  runtimeConfig: {
    portMappings: ["tcp", "udp"].map((protocol) => ({ hostPort, containerPort: ECHO_PORT, protocol })),
    bandwidth: { ingressRate: 400_000_000, ingressBurst: 40_000_000, egressRate: 400_000_000, egressBurst: 40_000_000 },
  },
});

/** One life of the built agent. */
class AgentLife {
  readonly child: ChildProcess;
  readonly #ended: Promise<NodeJS.Signals | number | null>;

  constructor(child: ChildProcess) {
    this.child = child;
    this.#ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
    janitor.process(child);
    void this.#ended.then(() => janitor.processEnded(child)); // never rejects
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    if (this.running) this.child.kill(signal);
    await this.#ended;
  }

  /** Resolves with the signal that ended it, or its exit status. */
  ended(): Promise<NodeJS.Signals | number | null> {
    return this.#ended;
  }
}

/** A node whose agent dies and comes back: by a signal, or by itself at a fault point. */
export class RestartNode implements AsyncDisposable {
  readonly node: AgentNode;
  readonly #served = new Set<string>();
  #life: AgentLife | undefined;

  private constructor(node: AgentNode) {
    this.node = node;
  }

  /** A node with a running, ready agent. Nothing is repaired by and by, unless the configuration says so. */
  static async start(options: AgentNodeOptions = {}): Promise<RestartNode> {
    const quiet = { log: { level: "info" }, healing: { periodSeconds: 0 }, ...options.config };
    const node = new RestartNode(await AgentNode.prepare({ ...options, config: quiet }));
    try {
      await node.startAgent();
      return node;
    } catch (e) {
      await node.close();
      throw e;
    }
  }

  /** Starts the agent, armed if `crashAt` is given, and returns when it serves CNI requests. */
  async startAgent(crashAt?: string): Promise<void> {
    const life = this.#launch(crashAt);
    try {
      await until("the agent serves", () => this.#serves(life), 20_000);
    } catch (e) {
      throw new Error(`the agent did not become ready; its last words:\n${logTail(this.logFile, 20)}`, { cause: e });
    }
  }

  /** Starts an agent that will not live long. Resolves with how it ended. */
  async startToDeath(crashAt: string): Promise<NodeJS.Signals | number | null> {
    return this.#launch(crashAt).ended();
  }

  /** Does not wait until it is ready. */
  launch(): void {
    this.#launch(undefined);
  }

  /** Of the agent that was started last. */
  get running(): boolean {
    return this.#life?.running ?? false;
  }

  get logFile(): string {
    return join(this.node.dir, "agent.log");
  }

  async stopAgent(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.#life?.end(signal);
  }

  /** How the agent ended, when it has. */
  async ended(): Promise<NodeJS.Signals | number | null> {
    return (await this.#life?.ended()) ?? null;
  }

  async restartAgent(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.stopAgent(signal);
    await this.startAgent();
  }

  /** Restarts the agent so that it writes down which fault points it passes; the result reads what it wrote since. */
  async traceAgent(): Promise<() => Map<FaultPoint, number>> {
    await this.stopAgent();
    const file = join(this.node.dir, "trace");
    rmSync(file, { force: true });
    await this.startAgent(`trace=${file}`);
    let read = 0;
    return () => {
      const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
      const passed = new Map<FaultPoint, number>();
      for (const line of lines.slice(read)) passed.set(line as FaultPoint, (passed.get(line as FaultPoint) ?? 0) + 1);
      read = lines.length;
      return passed;
    };
  }

  #launch(crashAt: string | undefined): AgentLife {
    // A socket that a killed agent has left answers nobody; without it, "serves" means the new one.
    const log = openSync(this.logFile, "a", 0o600);
    const argv = [`--net=/run/netns/${this.node.netns}`, "--", agentProgram, "--config", this.node.configFile];
    const env = { ...process.env, ...(crashAt === undefined ? {} : { HEDDLE_CRASH_AT: crashAt }) };
    this.#life = new AgentLife(spawn("nsenter", argv, { stdio: ["ignore", log, log], env }));
    closeSync(log);
    return this.#life;
  }

  #serves(life: AgentLife): Promise<boolean> {
    if (!life.running) throw new Error("the agent ended");
    return new Promise((resolve) => {
      const socket = connect(this.node.cniSocket);
      socket.on("connect", () => resolve(socket.destroy() !== undefined));
      socket.on("error", () => resolve(false));
    });
  }

  /** Echo servers in a pod, on {@link ECHO_PORT}, unless it has them. */
  async serve(pod: TestPod): Promise<void> {
    if (this.#served.has(pod.netns)) return;
    await (await this.node.prober()).serve(pod.netns);
    this.#served.add(pod.netns);
  }

  /** DEL (again and again, as runtimes do, unless `once`), and the end of the pod's namespace. */
  async remove(pod: TestPod): Promise<void> {
    await this.unserve(pod);
    await until(`DEL of ${pod.netns}`, async () => (await pod.call("DEL")).exitCode === 0, 30_000);
    await this.node.deleteNetns(pod.netns);
  }

  async unserve(pod: TestPod): Promise<void> {
    if (!this.#served.delete(pod.netns)) return;
    await (await this.node.prober()).unserve(pod.netns);
  }

  /** Makes the kernel track a flow to a UDP port of the node, whatever comes of it. */
  async knock(hostPort: number): Promise<void> {
    const to = { port: hostPort, sourcePort: 45_000, timeoutMs: 100 };
    await (await this.node.prober()).probe("udp", this.node.outside, UNDERLAY.ipv4.node, to);
  }

  /** What does not get through to a wired pod; empty when all does. */
  async unreachable(pod: TestPod, hostPort?: number): Promise<string[]> {
    const prober = await this.node.prober();
    const tries = [
      ...pod.ips().map((ip) => ["icmp", this.node.netns, ip, undefined] as const),
      ...(hostPort === undefined
        ? []
        : [UNDERLAY.ipv4.node, UNDERLAY.ipv6.node].map((ip) => ["tcp", this.node.outside, ip, hostPort] as const)),
    ];
    const results = await Promise.all(
      tries.map(async ([kind, from, ip, port]) => {
        const result = await prober.probe(kind, from, ip, { timeoutMs: 1000, ...(port ? { port } : {}) });
        return result.ok ? [] : [`${kind} ${ip}${port ? ` port ${port}` : ""}: ${result.error}`];
      }),
    );
    return results.flat();
  }

  async close(): Promise<void> {
    await this.stopAgent();
    await this.node.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
