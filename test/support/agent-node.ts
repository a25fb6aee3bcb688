import { randomBytes } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { stringify } from "yaml";
import { type Difference, differences, type Snapshot, snapshotNetwork } from "../../src/lab/demo/snapshot.ts";
import { addNetns, deleteNetns, inNetns, ipBatch, setSysctls } from "../../src/lab/net/ip.ts";
import { findExecutables, NodePaths } from "../../src/lab/paths.ts";
import { Prober } from "../../src/lab/probe/client.ts";
import { type ExecResult, exec, execOk } from "../../src/lab/process/exec.ts";
import { AgentProcess } from "./agent-node/agent-process.ts";
import { type CniAnswer, type CniCommand, callPlugin } from "./agent-node/cni.ts";
import type { DataplaneName } from "./agent-node/dataplanes.ts";
import { janitor } from "./agent-node/janitor.ts";
import { NftGate } from "./agent-node/nft-gate.ts";
import { NodeVpp } from "./agent-node/node-vpp.ts";
import { type PodCall, TestPod } from "./agent-node/pod.ts";
import { until } from "./until.ts";

export type { CniAnswer, CniResult } from "./agent-node/cni.ts";
export { TestPod } from "./agent-node/pod.ts";
export { whyNoNetns } from "./lab/toy.ts";

export interface AgentNodeOptions {
  /** The kernel's if absent. */
  readonly dataplane?: DataplaneName;
  /** Of the underlay; 1500 if absent. */
  readonly mtu?: number;
  /** `network` of the agent's configuration. */
  readonly network?: Readonly<Record<string, unknown>>;
  /** Other top-level keys of it. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Where node and outside host meet. */
export const UNDERLAY = {
  ipv4: { node: "192.168.77.1", outside: "192.168.77.254" },
  ipv6: { node: "fd77::1", outside: "fd77::254" },
} as const;

const REST = "127.0.0.1:9191";
const CAPABILITIES = { portMappings: true, bandwidth: true, ips: true, mac: true };

/**
 * A node in a namespace of its own, a host outside the cluster in another, a cable between them, and a real agent from
 * source. The outside host routes nothing to pods: what reaches it from one has a translated source.
 */
export class AgentNode implements AsyncDisposable {
  readonly id = `hd${randomBytes(3).toString("hex")}`;
  /** Name of the node's namespace. */
  readonly netns = `${this.id}n`;
  /** Name of the outside host's. */
  readonly outside = `${this.id}f`;
  readonly dir = mkdtempSync(join(tmpdir(), "hd-node-"));
  readonly configFile = join(this.dir, "agent.yaml");
  readonly stateDir = join(this.dir, "state");
  readonly cniSocket = join(this.dir, "run", "cni.sock");
  /** Holds or refuses what the agent does to nftables. */
  readonly nftGate = new NftGate(join(this.dir, "nft"));
  /** If the agent runs one. */
  readonly vpp = new NodeVpp(
    new NodePaths(this.dir),
    Object.values(UNDERLAY).map(({ outside }) => outside),
  );
  readonly #netnses: string[] = [];
  #file: Readonly<Record<string, unknown>> = {};
  #agent: AgentProcess | undefined;
  #prober: Prober | undefined;
  #nextPod = 1;

  private constructor() {
    janitor.dir(this.dir);
    janitor.process(this.vpp);
  }

  /** A node with a running, ready agent. */
  static async start(options: AgentNodeOptions = {}): Promise<AgentNode> {
    const node = await AgentNode.prepare(options);
    try {
      await node.startAgent();
      return node;
    } catch (e) {
      await node.close();
      throw e;
    }
  }

  /** A node whose agent does not run yet. */
  static async prepare(options: AgentNodeOptions = {}): Promise<AgentNode> {
    const node = new AgentNode();
    try {
      await node.#build(options);
      return node;
    } catch (e) {
      await node.close();
      throw e;
    }
  }

  async #build({ dataplane = "linux", mtu = 1500, network, config }: AgentNodeOptions): Promise<void> {
    for (const name of [this.netns, this.outside]) {
      await this.addNetns(name);
      await setSysctls(name, { "net.ipv6.conf.default.accept_dad": "0", "net.ipv6.conf.all.accept_dad": "0" });
    }
    await ipBatch(this.netns, [
      `link add eth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${this.outside}`,
      `addr add ${UNDERLAY.ipv4.node}/24 dev eth0`,
      `addr add ${UNDERLAY.ipv6.node}/64 dev eth0 nodad`,
      "link set eth0 up",
    ]);
    await ipBatch(this.outside, [
      `addr add ${UNDERLAY.ipv4.outside}/24 dev eth0`,
      `addr add ${UNDERLAY.ipv6.outside}/64 dev eth0 nodad`,
      "link set eth0 up",
    ]);
    await ipBatch(this.netns, [
      `route add default via ${UNDERLAY.ipv4.outside}`,
      `route add default via ${UNDERLAY.ipv6.outside}`,
    ]);
    if (dataplane === "vpp") await this.likeACable();
    for (const dir of ["state", "run", "store"]) mkdirSync(join(this.dir, dir), { mode: 0o700 });
    this.#file = {
      nodeName: "n1",
      dataplane,
      stateDir: this.stateDir,
      runDir: join(this.dir, "run"),
      rest: REST,
      log: { level: "debug" },
      store: { kind: "embedded", dir: join(this.dir, "store") },
      // There is nobody to say what pods and services there are.
      policy: { enforce: false },
      services: { enabled: false },
      ...(network ? { network } : {}),
      ...config,
    };
    writeFileSync(this.configFile, stringify(this.#file));
  }

  /** Changes top-level keys of the configuration, for the agent's next start. */
  configure(keys: Readonly<Record<string, unknown>>): void {
    this.#file = { ...this.#file, ...keys };
    writeFileSync(this.configFile, stringify(this.#file));
  }

  /** What comes by a cable has its checksums, and is no longer than the MTU; VPP sends on what it gets. */
  async likeACable(): Promise<void> {
    await execOk([...inNetns(this.outside), "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"]);
  }

  /** Makes a namespace that goes with the node. */
  async addNetns(name: string): Promise<void> {
    this.#netnses.push(name);
    janitor.netns(name);
    await addNetns(name);
  }

  async deleteNetns(name: string): Promise<void> {
    await deleteNetns(name);
    janitor.netnsGone(name);
  }

  /** The running agent. @throws Error when there is none. */
  get agent(): AgentProcess {
    if (!this.#agent) throw new Error("the agent was not started");
    return this.#agent;
  }

  /** Starts the agent and waits until it serves CNI requests. @throws Error with the agent's last words. */
  async startAgent(): Promise<void> {
    const agent = AgentProcess.start(this.netns, this.configFile, join(this.dir, "agent.log"), this.nftGate.dir);
    this.#agent = agent;
    try {
      await until(
        "the agent answers STATUS",
        async () => {
          if (!agent.running) throw new Error("the agent ended");
          return existsSync(this.cniSocket) && (await this.#answersStatus());
        },
        20_000,
      );
    } catch (e) {
      throw new Error(`the agent did not become ready; its last words:\n${agent.logTail()}`, { cause: e });
    }
  }

  /** "No address left" is an answer too: an agent that restarts on a full node is ready. */
  async #answersStatus(): Promise<boolean> {
    const { exitCode, error } = await this.cni("STATUS");
    return exitCode === 0 || (error?.code === 50 && !error.msg.includes("agent is away"));
  }

  /** Runs `heddle-agent --config … cleanup …` beside no running agent. */
  cleanup(...flags: readonly string[]): Promise<ExecResult> {
    return AgentProcess.run(this.netns, this.configFile, "cleanup", ...flags);
  }

  /** Runs `heddle-agent --config … give-back`. */
  giveBack(): Promise<ExecResult> {
    return AgentProcess.run(this.netns, this.configFile, "give-back");
  }

  /** The configuration that a runtime hands to the plugin on this node. */
  conf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
    return {
      cniVersion: "1.1.0",
      name: "heddle",
      type: "heddle",
      cniSocket: this.cniSocket,
      capabilities: CAPABILITIES,
      ...more,
    };
  }

  /** One call of the plugin, whatever comes of it. */
  cni(command: CniCommand, call: PodCall & { readonly containerId?: string } = {}): Promise<CniAnswer> {
    const { conf, runtimeConfig, netns, ...rest } = call;
    return callPlugin({
      command,
      ...rest,
      ...(typeof netns === "string" ? { netns } : {}),
      conf: this.conf({ ...(runtimeConfig ? { runtimeConfig } : {}), ...conf }),
    });
  }

  /** A pod's namespace, not wired yet. */
  async pod(): Promise<TestPod> {
    const n = this.#nextPod++;
    const name = `${this.id}p${n}`;
    await this.addNetns(name);
    return new TestPod(name, `${this.id}-${n}-${randomBytes(4).toString("hex")}`, (command, call) =>
      this.cni(command, call),
    );
  }

  /** A pod that is wired. */
  async wiredPod(call: PodCall = {}): Promise<TestPod> {
    const pod = await this.pod();
    await pod.add(call);
    return pod;
  }

  /** DEL, and the end of its namespace. */
  async removePod(pod: TestPod): Promise<void> {
    await pod.del();
    await this.deleteNetns(pod.netns);
  }

  async prober(): Promise<Prober> {
    this.#prober ??= await Prober.start(findExecutables().probe);
    return this.#prober;
  }

  /** GET of the agent's REST. */
  async get(path: string): Promise<{ readonly status: number; readonly body: string }> {
    return (await this.prober()).get(this.netns, `http://${REST}${path}`, 5000);
  }

  /** `GET /status`, the parts that tests look at. */
  async status(): Promise<AgentStatus> {
    return JSON.parse((await this.get("/status")).body) as AgentStatus;
  }

  /** Runs a command in the node's namespace. @throws LabError with its words. */
  exec(...argv: readonly string[]): Promise<string> {
    return execOk([...inNetns(this.netns), ...argv]);
  }

  /** Records of sandboxes in the agent's database, read from a copy: the agent holds the file alone. */
  sandboxRecords(): string[] {
    const copy = mkdtempSync(join(this.dir, "copy-"));
    try {
      for (const file of ["agent.db", "agent.db-wal"]) {
        const from = join(this.stateDir, file);
        if (existsSync(from)) cpSync(from, join(copy, file));
      }
      using db = new DatabaseSync(join(copy, "agent.db"));
      const rows = db.prepare("SELECT key FROM kv WHERE key LIKE 'sandbox/%' ORDER BY key").all();
      return rows.map((row) => String(row["key"]));
    } finally {
      rmSync(copy, { recursive: true });
    }
  }

  /** Everything on the node that pods leave traces in: the kernel's state, the agent's, its files. */
  async snapshot(): Promise<Snapshot> {
    const [network, status, items, vpp] = await Promise.all([
      snapshotNetwork(this.netns),
      this.status(),
      this.get("/scheduler/status"),
      this.vpp.pid === undefined ? [] : this.vpp.snapshot(),
    ]);
    const used = status.addresses.map((pool) => `${pool.pool} used ${pool.used}`);
    return new Map<string, ReadonlySet<string>>([
      ...network,
      ...vpp,
      ["used address", new Set(used)],
      ["pod in status", new Set(status.pods.map((pod) => pod.containerId))],
      ["scheduler item", new Set(keysOf(items.body))],
      ["sandbox record", new Set(this.sandboxRecords())],
    ]);
  }

  /** What is now and was not in `before`, and the other way round. */
  async differencesTo(before: Snapshot): Promise<Difference[]> {
    return differences("node", before, await this.snapshot());
  }

  async close(): Promise<void> {
    await this.#agent?.end("SIGKILL");
    await this.vpp.end();
    janitor.processEnded(this.vpp);
    await this.#prober?.close();
    for (const name of this.#netnses) await this.deleteNetns(name);
    rmSync(this.dir, { recursive: true, force: true });
    janitor.dirGone(this.dir);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export interface AgentStatus {
  readonly ready: boolean;
  readonly dataplane: { readonly name: string; readonly warnings: readonly string[] };
  readonly addresses: readonly { readonly pool: string; readonly used: number; readonly quarantined: number }[];
  readonly pods: readonly { readonly containerId: string; readonly ips: readonly string[]; readonly hostIf: string }[];
}

/** Of `GET /scheduler/status`, without what is only observed: that is news from the last comparison. */
const keysOf = (status: string): readonly string[] =>
  (JSON.parse(status) as { key: string; state: string }[]).flatMap(({ key, state }) =>
    state === "OBTAINED" ? [] : [key],
  );

/** Kernel state inside a namespace, for what an operation left in a pod. */
export const podSnapshot = (pod: TestPod): Promise<Snapshot> => snapshotNetwork(pod.netns);

/** Runs a command in a namespace, whatever comes of it. */
export const execIn = (netns: string, ...argv: readonly string[]): Promise<ExecResult> =>
  exec([...inNetns(netns), ...argv]);
