import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { netnsName, newLabId } from "../../src/lab/names.ts";
import { addNetns } from "../../src/lab/net/ip.ts";
import { buildFabric, buildNode, likeACable } from "../../src/lab/net/underlay.ts";
import { findExecutables } from "../../src/lab/paths.ts";
import { Prober } from "../../src/lab/probe/client.ts";
import { markedProcesses, startDaemon, stopProcesses } from "../../src/lab/process/daemon.ts";
import { VPP_BINARY } from "../../test/support/vpp/real-vpp.ts";
import { AgentNode } from "./agent-node.ts";
import { Launcher } from "./launcher.ts";
import { PodNamespaces, removeNetnsOf } from "./namespaces.ts";
import { PodObjects } from "./objects.ts";
import { bridgePlugin, type Plugin } from "./plugins.ts";

const MTU = 1500;

export interface RigOptions {
  /** Another agent than the one that was built; `[program, ...args]`. */
  readonly agent?: readonly string[];
  readonly launcher: string;
}

/** A node for the stock plugins: a namespace, and who runs them there. */
export interface StockNode {
  readonly launcher: Launcher;
  readonly plugin: Plugin;
}

/**
 * What benchmarks stand on: two nodes of a cluster with their agents and a store, and beside them namespaces for what
 * they are compared with. All of it carries one random name and goes with {@link Rig.close}.
 */
export class Rig implements AsyncDisposable {
  readonly id = newLabId();
  readonly dir = mkdtempSync(join(tmpdir(), "hd-bench-"));
  readonly #options: RigOptions;
  readonly #launchers: Launcher[] = [];
  #prober!: Prober;
  #objects: PodObjects | undefined;
  #pods!: PodNamespaces;
  #nodes: readonly AgentNode[] = [];
  #stock: Promise<StockNode | undefined> | undefined;
  #vpp: Promise<readonly [AgentNode, AgentNode] | undefined> | undefined;
  #agent!: (name: string, index: number, dataplane: "linux" | "vpp") => Promise<AgentNode>;
  #closing: Promise<void> | undefined;

  private constructor(options: RigOptions) {
    this.#options = options;
  }

  static async up(options: RigOptions, onMade: (rig: Rig) => void): Promise<Rig> {
    const rig = new Rig(options);
    onMade(rig);
    try {
      await rig.#build();
      return rig;
    } catch (e) {
      await rig.close();
      throw e;
    }
  }

  /** The node that most is measured on. */
  get first(): AgentNode {
    return this.#node(0);
  }

  get second(): AgentNode {
    return this.#node(1);
  }

  get pods(): PodNamespaces {
    return this.#pods;
  }

  /** What its agents know of the cluster. */
  get objects(): PodObjects {
    if (!this.#objects) throw new Error("the rig is not up");
    return this.#objects;
  }

  get prober(): Prober {
    return this.#prober;
  }

  /** Two nodes with VPP, of the same cluster; undefined where none is installed. */
  vpp(): Promise<readonly [AgentNode, AgentNode] | undefined> {
    this.#vpp ??= VPP_BINARY === undefined ? Promise.resolve(undefined) : this.#buildVpp();
    return this.#vpp;
  }

  /** The node with Debian's plugins; undefined where they are not installed. */
  stock(): Promise<StockNode | undefined> {
    this.#stock ??= this.#buildStock();
    return this.#stock;
  }

  /** A namespace that goes with the rig, with loopback up. */
  async namespace(name: string): Promise<string> {
    const netns = netnsName.node(this.id, name);
    await addNetns(netns);
    return netns;
  }

  /** A namespace on the nodes' underlay, with the addresses of the node `index`; 1 and 2 are taken. */
  async underlayNode(name: string, index: number): Promise<string> {
    const netns = netnsName.node(this.id, name);
    await buildNode(netnsName.fabric(this.id), { name, netns, index }, MTU);
    return netns;
  }

  /** A process in a namespace of the rig. */
  async daemon(role: string, netns: string, argv: readonly string[]): Promise<void> {
    await startDaemon({ labId: this.id, role, netns, argv, logFile: join(this.dir, `${role}.log`) });
  }

  /** Idempotent; leaves nothing. */
  close(): Promise<void> {
    this.#closing ??= this.#remove();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #node(i: number): AgentNode {
    const node = this.#nodes[i];
    if (!node) throw new Error("the rig is not up");
    return node;
  }

  #launch(netns: string): Launcher {
    const launcher = Launcher.start(this.#options.launcher, netns, `${this.id}/launcher`);
    this.#launchers.push(launcher);
    return launcher;
  }

  async #buildStock(): Promise<StockNode | undefined> {
    const plugin = bridgePlugin(join(this.dir, "host-local"));
    if (!plugin) return undefined;
    return { plugin, launcher: this.#launch(await this.namespace("stock")) };
  }

  async #build(): Promise<void> {
    const { agent, cni, probe, heddlectl } = findExecutables(this.#options.agent ? { agent: this.#options.agent } : {});
    this.#prober = await Prober.start(probe);
    await buildFabric(netnsName.fabric(this.id), netnsName.outside(this.id), MTU);
    const storeDir = join(this.dir, "store");
    const storeSocket = join(this.dir, "store.sock");
    mkdirSync(storeDir);
    const serve = ["lab", "store-serve", "--dir", storeDir, "--socket", storeSocket];
    await this.daemon("store", netnsName.fabric(this.id), [...heddlectl, ...serve]);
    this.#agent = async (name, index, dataplane) => {
      const netns = await this.underlayNode(name, index);
      if (dataplane === "vpp") await likeACable(netnsName.fabric(this.id), name);
      const launcher = this.#launch(netns);
      const dir = join(this.dir, name);
      const common = { rigId: this.id, agent, cni, storeSocket, prober: this.#prober };
      return new AgentNode({ ...common, name, netns, dir, launcher, dataplane });
    };
    this.#nodes = [await this.#agent("n1", 1, "linux"), await this.#agent("n2", 2, "linux")];
    // Once they are ready the store is, too.
    for (const node of this.#nodes) await node.start();
    this.#objects = await PodObjects.open(storeSocket);
    this.#pods = new PodNamespaces(this.id, this.#prober, this.#objects);
  }

  async #buildVpp(): Promise<readonly [AgentNode, AgentNode]> {
    const nodes = [await this.#agent("v1", 5, "vpp"), await this.#agent("v2", 6, "vpp")] as const;
    for (const node of nodes) await node.start();
    return nodes;
  }

  async #remove(): Promise<void> {
    // Its sockets would keep namespaces alive. One that never started has none.
    await (this.#prober as Prober | undefined)?.close();
    await this.#objects?.close();
    await Promise.all(this.#launchers.map((launcher) => launcher.close()));
    const left = await stopProcesses(markedProcesses(this.id), { kill: true });
    await removeNetnsOf(this.id);
    rmSync(this.dir, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`processes that could not be ended: ${left.map((p) => p.pid).join(", ")}`);
  }
}
