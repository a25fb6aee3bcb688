import { mkdirSync, readFileSync } from "node:fs";
import { stringify } from "yaml";
import type { VppPaths } from "../../src/dataplane/vpp/supervisor/startup-conf.ts";
import { inNetns } from "../../src/lab/net/ip.ts";
import { AGENT_REST } from "../../src/lab/node/agent.ts";
import { runningVpp } from "../../src/lab/node/vpp.ts";
import { NodePaths } from "../../src/lab/paths.ts";
import type { Prober } from "../../src/lab/probe/client.ts";
import { type Daemon, logTail, startDaemon, stopProcesses } from "../../src/lab/process/daemon.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import { isAlive } from "../../src/lab/process/proc.ts";
import { writeAtomically } from "../../src/lab/state/ledger.ts";
import type { Launcher } from "./launcher.ts";
import { heddlePlugin, type Plugin } from "./plugins.ts";

const START_TIMEOUT_MS = 60_000;
/** How often a starting agent is asked whether it is ready: the error of what is measured. */
const POLL_MS = 2;

export interface AgentNodeOptions {
  readonly rigId: string;
  readonly name: string;
  readonly netns: string;
  readonly dir: string;
  readonly storeSocket: string;
  /** `[program, ...args]`; ` --config FILE` is appended. */
  readonly agent: readonly string[];
  readonly cni: string;
  readonly launcher: Launcher;
  readonly prober: Prober;
  /** The kernel's if absent. */
  readonly dataplane?: "linux" | "vpp";
}

/** Of an agent's records of transactions, what is measured. Wall-clock milliseconds. */
export interface TxnRecord {
  readonly seq: number;
  readonly description?: string;
  readonly resync?: string;
  readonly startedAt: number;
  readonly endedAt: number;
  readonly executed: readonly { readonly op: string; readonly key: string; readonly noop?: boolean }[];
}

/** A node with Heddle's agent as it is by default, but for the paths and for subnets large enough for 500 pods. */
export class AgentNode {
  readonly #options: AgentNodeOptions;
  readonly #paths: NodePaths;
  readonly plugin: Plugin;
  #daemon: Daemon | undefined;

  constructor(options: AgentNodeOptions) {
    this.#options = options;
    this.#paths = new NodePaths(options.dir);
    this.plugin = heddlePlugin(options.cni, this.#paths.cniSocket);
    for (const dir of [this.#paths.stateDir, this.#paths.runDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.configure({});
  }

  /** What the agent has from its next start on, beside what every node of a rig has. */
  configure(more: Readonly<Record<string, unknown>>): void {
    const options = this.#options;
    const config = {
      nodeName: options.name,
      dataplane: options.dataplane ?? "linux",
      stateDir: this.#paths.stateDir,
      runDir: this.#paths.runDir,
      store: { kind: "embedded", socket: options.storeSocket },
      network: {
        pools: [
          { cidr: "10.244.0.0/16", nodePrefix: 22 },
          { cidr: "fd10:244::/48", nodePrefix: 64 },
        ],
      },
      ...more,
    };
    writeAtomically(this.#paths.config, stringify(config));
  }

  get netns(): string {
    return this.#options.netns;
  }

  get launcher(): Launcher {
    return this.#options.launcher;
  }

  /** Milliseconds from the start of the process until it said that it is ready. */
  async start(): Promise<number> {
    const { rigId, name, netns, agent } = this.#options;
    const from = performance.now();
    const argv = [...agent, "--config", this.#paths.config];
    const daemon = await startDaemon({ labId: rigId, role: `agent-${name}`, netns, argv, logFile: this.#paths.log });
    this.#daemon = daemon;
    while (!(await this.#isReady())) {
      if (!isAlive(daemon.id) || performance.now() - from > START_TIMEOUT_MS) {
        throw new Error(`the agent of ${name} did not become ready:\n${logTail(this.#paths.log)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
    return performance.now() - from;
  }

  /** Files of its VPP, if it has one. */
  get vpp(): VppPaths {
    return this.#paths.vpp;
  }

  /** The VPP that its agent runs. */
  vppPid(): number | undefined {
    return runningVpp(this.#paths)?.pid;
  }

  /** Transactions that the agent remembers, oldest first. */
  async history(since: number): Promise<readonly TxnRecord[]> {
    const { body } = await this.#get(`/scheduler/history?since=${since}`);
    return JSON.parse(body) as readonly TxnRecord[];
  }

  /** Ends the agent as a crash would. */
  async kill(): Promise<void> {
    if (this.#daemon) await stopProcesses([this.#daemon.id], { kill: true });
    this.#daemon = undefined;
  }

  /** Resident and, at most so far, resident memory in MiB. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.#daemon?.id.pid ?? 0}/status`, "utf8");
    const mib = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
    return { now: mib("VmRSS"), peak: mib("VmHWM") };
  }

  /**
   * Delay of the agent's event loop since it was last asked for, in milliseconds.
   */
  async loopDelay(): Promise<{ p99: number; max: number }> {
    const { body } = await this.#get("/metrics");
    const delay = (quantile: string): number => {
      const line = body
        .split("\n")
        .find((l) => l.startsWith("heddle_event_loop_delay_seconds{") && l.includes(`"${quantile}"`));
      return Number(line?.split(" ").at(-1)) * 1000;
    };
    return { p99: delay("0.99"), max: delay("max") };
  }

  /** Pods that the agent says it has. */
  async pods(): Promise<number> {
    const { body } = await this.#get("/status");
    return (JSON.parse(body) as { pods: readonly unknown[] }).pods.length;
  }

  /** Services that it knows, and keys of what is not in place of them. */
  async services(): Promise<{ services: number; missing: readonly string[] }> {
    const { body } = await this.#get("/status");
    return (JSON.parse(body) as { services: { services: number; missing: readonly string[] } }).services;
  }

  /** Has it compare the dataplane with what should be, and returns when it has. */
  async compare(): Promise<void> {
    const argv = ["curl", "-sSf", "-o", "/dev/null", "-X", "POST", `http://${AGENT_REST}/scheduler/downstream-resync`];
    await execOk([...inNetns(this.netns), ...argv]);
  }

  #get(path: string) {
    return this.#options.prober.get(this.netns, `http://${AGENT_REST}${path}`, 10_000);
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await this.#get("/readyz")).status === 200;
    } catch {
      return false; // it does not listen yet
    }
  }
}
