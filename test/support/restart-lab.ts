import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RecordedOp, RecordedTxn } from "../../src/kvscheduler/api/record.ts";
import { type Snapshot, snapshotNetwork } from "../../src/lab/demo/snapshot.ts";
import { Lab } from "../../src/lab/lab.ts";
import { netnsName } from "../../src/lab/names.ts";
import { AGENT_REST, agentRole } from "../../src/lab/node/agent.ts";
import { findExecutables } from "../../src/lab/paths.ts";
import { stopProcesses } from "../../src/lab/process/daemon.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import { launch, recorded, waitReady } from "../../src/lab/process/launch.ts";
import { Ledger } from "../../src/lab/state/ledger.ts";
import type { DataplaneChoice, Overlay, StoreChoice } from "../../src/lab/state/state.ts";
import { chooseStore, storeDaemon, storeRole } from "../../src/lab/stores/store.ts";
import { withSecondTry } from "./second-try.ts";

export interface RestartLabOptions {
  readonly nodes: number;
  readonly store?: StoreChoice;
  readonly dataplane?: DataplaneChoice;
  readonly overlay?: Overlay;
  /** As in UpOptions. */
  readonly policies?: boolean;
  readonly inOrder?: boolean;
  /** Seconds between two comparisons with the dataplane; never if absent. */
  readonly healing?: number;
  /** As in UpOptions. */
  readonly id?: string;
  readonly progress?: (line: string) => void;
  /** What is run instead of the agent with its arguments; the same if absent. */
  readonly wrap?: (agent: readonly string[]) => readonly string[];
}

/** `GET /status` of an agent, the parts that tests look at. */
export interface NodeStatus {
  readonly node: { readonly id: number; readonly podCIDRs: readonly string[] };
  readonly store: { readonly staleForMs: number };
  readonly peers: readonly { readonly name: string; readonly id: number }[];
  readonly pods: readonly { readonly containerId: string }[];
}

/** A lab whose agents and store can be ended and started one by one. */
export class RestartLab implements AsyncDisposable {
  readonly lab: Lab;
  readonly #ledger: Ledger;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.#ledger = new Ledger(lab.dir);
  }

  static up(options: RestartLabOptions): Promise<RestartLab> {
    return withSecondTry("bringing up a lab", () => RestartLab.#up(options));
  }

  static async #up({ healing = 0, wrap = (agent) => agent, ...options }: RestartLabOptions): Promise<RestartLab> {
    const dir = mkdtempSync(join(tmpdir(), "hd-lab-"));
    const agent = wrap([...findExecutables().agent, "--set", `healing.periodSeconds=${healing}`]);
    try {
      const wanted = { store: "embedded" as const, ...options, executables: { agent } };
      return new RestartLab(await Lab.up({ ...wanted, dir: join(dir, "lab") }));
    } catch (e) {
      rmSync(dir, { recursive: true, force: true });
      throw e;
    }
  }

  /** Ends an agent and leaves it so. */
  async stopAgent(node: string, kill = true): Promise<void> {
    await this.#stop(agentRole(node), kill);
  }

  /** Starts an agent (again) and waits until it is ready. */
  async startAgent(node: string): Promise<void> {
    await this.lab.restart(node);
  }

  /** SIGKILL. */
  async stopStore(): Promise<void> {
    await this.#stop(storeRole(this.lab.state().store), true);
  }

  async startStore(): Promise<void> {
    const { id, store } = this.lab.state();
    const chosen = chooseStore(store.kind, this.lab.paths);
    const fabric = netnsName.fabric(id);
    const { paths, executables } = this.lab;
    const daemon = await launch(this.#ledger, storeDaemon(id, chosen, paths, fabric, executables));
    if (store.kind !== "etcd") return;
    const check = (): Promise<boolean> => this.etcdctl("get", "x").then(() => true);
    await waitReady(daemon, { what: "etcd", logFile: paths.storeLog, check, timeoutMs: 40_000 });
  }

  /** Loses what the store holds, while it is down. */
  wipeStore(): void {
    rmSync(this.lab.paths.store, { recursive: true, force: true });
  }

  async #stop(role: string, kill: boolean): Promise<void> {
    const id = recorded(this.#ledger, role);
    if (id) await stopProcesses([id], { kill });
  }

  /** Runs etcdctl beside the lab's etcd. */
  async etcdctl(...words: readonly string[]): Promise<string> {
    const [endpoint = ""] = this.lab.state().store.endpoints;
    const { argv } = this.lab.command("fabric", ["etcdctl", "--endpoints", endpoint, "--dial-timeout=1s", ...words]);
    return execOk(argv, { env: { ETCDCTL_API: "3" } });
  }

  /** What the store says about nodes, by key. */
  async nodeRecords(): Promise<ReadonlyMap<string, string>> {
    const lines = (await this.etcdctl("get", "--prefix", "/heddle/nodes/")).split("\n");
    const records = new Map<string, string>();
    for (let i = 0; i + 1 < lines.length; i += 2) records.set(lines[i] ?? "", lines[i + 1] ?? "");
    return records;
  }

  /** Cuts a node off the store, and only off it: what it sends there gets no answer. Undone by the returned function. */
  async partition(node: string): Promise<() => Promise<void>> {
    const { port } = new URL(this.lab.state().store.endpoints[0] ?? "");
    const nft = (...words: readonly string[]) => execOk(this.lab.command(node, ["nft", ...words]).argv);
    await nft("add", "table", "inet", "cut");
    await nft("add", "chain", "inet", "cut", "out", "{ type filter hook output priority 0; }");
    await nft("add", "rule", "inet", "cut", "out", "tcp", "dport", port, "drop");
    return () => nft("delete", "table", "inet", "cut").then(() => undefined);
  }

  async get<T>(node: string, path: string): Promise<T> {
    const prober = await this.lab.prober();
    const { body } = await prober.get(this.lab.node(node).netns, `http://${AGENT_REST}${path}`, 5000);
    return JSON.parse(body) as T;
  }

  status(node: string): Promise<NodeStatus> {
    return this.get(node, "/status");
  }

  /** @param since wall-clock milliseconds: an agent also tells of its earlier lives */
  history(node: string, since?: number): Promise<RecordedTxn[]> {
    return this.get(node, `/scheduler/history${since === undefined ? "" : `?since=${since}`}`);
  }

  snapshot(target: string): Promise<Snapshot> {
    return snapshotNetwork(this.lab.netnsOf(target));
  }

  /** Whether both families of a pod answer, from another pod or a node. */
  async reaches(from: string, to: string): Promise<boolean> {
    const prober = await this.lab.prober();
    const pings = this.lab
      .pod(to)
      .ips.map((ip) => prober.probe("icmp", this.lab.netnsOf(from), ip, { timeoutMs: 500 }));
    return (await Promise.all(pings)).every((result) => result.ok);
  }

  async close(): Promise<void> {
    const { dir } = this.lab;
    await this.lab.down();
    rmSync(join(dir, ".."), { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Operations that went to the kernel, of transactions after `seq`; not those that only note what was seen. */
export function sent(history: readonly RecordedTxn[], seq = 0): RecordedOp[] {
  return history.filter((txn) => txn.seq > seq).flatMap((txn) => txn.executed.filter((op) => !op.noop && !op.carried));
}
