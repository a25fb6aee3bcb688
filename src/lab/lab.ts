import { resolve } from "node:path";
import { fullMessage } from "../base/errors/errors.ts";
import { type DownResult, takeDown } from "./down.ts";
import { LabError } from "./errors.ts";
import { Manifests } from "./kubernetes/manifests.ts";
import { formatPodName, netnsName, type PodName, parsePodName } from "./names.ts";
import { AGENT_REST, type AgentStatus, agentRole } from "./node/agent.ts";
import { switchDataplane } from "./node/switch.ts";
import { restartVpp } from "./node/vpp.ts";
import { type Executables, findExecutables, LabPaths } from "./paths.ts";
import { Prober } from "./probe/client.ts";
import { MARK, stopProcesses } from "./process/daemon.ts";
import { type ExecOptions, type ExecResult, exec } from "./process/exec.ts";
import { recorded } from "./process/launch.ts";
import { type AddPodOptions, PodRuntime } from "./runtime/pod.ts";
import { Ledger } from "./state/ledger.ts";
import { lock, lockNow } from "./state/lock.ts";
import type { LabState, NodeRecord, PodRecord } from "./state/state.ts";
import { type LabStatus, labStatus } from "./status.ts";
import { bringUp, enterLab, startAgent, type UpDeps, type UpOptions } from "./up.ts";

interface ReadyWait {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds to become ready; 60,000 if absent. */
  readonly timeoutMs?: number;
}

interface RestartOptions extends ReadyWait {
  /** SIGTERM instead of SIGKILL. */
  readonly graceful?: boolean;
}

/**
 * A cluster in network namespaces on this machine: an underlay, nodes with an agent each, a store, pods wired by the
 * CNI executable. Its state is in a directory, so that separate processes can work on the same lab.
 */
export class Lab implements AsyncDisposable {
  readonly dir: string;
  readonly paths: LabPaths;
  readonly executables: Executables;
  readonly pods: PodRuntime;
  readonly #ledger: Ledger;
  readonly #owned: boolean;
  #prober: Promise<Prober> | undefined;

  private constructor(dir: string, owned: boolean, executables?: Partial<Executables>) {
    this.dir = resolve(dir);
    this.paths = new LabPaths(this.dir);
    this.executables = findExecutables(executables);
    this.#ledger = new Ledger(this.dir);
    this.#owned = owned;
    this.pods = new PodRuntime(this.#ledger, this.paths, this.executables);
  }

  /** Builds a lab and returns when every agent is ready. When it fails or is aborted, it removes what it had made. */
  static async up(options: UpOptions): Promise<Lab> {
    const lab = new Lab(options.dir, true, options.executables);
    const wanted = { ...options, dir: lab.dir };
    try {
      await using _held = await lockNow(lab.dir, "cluster");
      const store = await enterLab(wanted, lab.#deps);
      try {
        await bringUp(wanted, store, lab.#deps);
      } catch (e) {
        await lab.#closeProber();
        const { left } = await takeDown(lab.#ledger, lab.paths);
        if (left.length === 0) throw e;
        throw new LabError("FAILED", `${fullMessage(e)}; cleaning up left ${left.join("; ")}`, { cause: e });
      }
      return lab;
    } catch (e) {
      await lab.#closeProber();
      throw e;
    }
  }

  /** An existing lab. Rejects with `NOT_FOUND`. */
  static open(dir: string, options: { readonly executables?: Partial<Executables> } = {}): Lab {
    const lab = new Lab(dir, false, options.executables);
    lab.state();
    return lab;
  }

  /** Removes the lab in a directory, or what is left of it; nothing to remove is fine. Can be repeated. */
  static async down(dir: string): Promise<DownResult> {
    const path = resolve(dir);
    await using _held = await lockNow(path, "cluster");
    return takeDown(new Ledger(path), new LabPaths(path));
  }

  get #deps(): UpDeps {
    return {
      ledger: this.#ledger,
      paths: this.paths,
      executables: this.executables,
      prober: () => this.prober(),
    };
  }

  /** The ledger as it is now. */
  state(): LabState {
    return this.#ledger.read();
  }

  /** The prober of this handle, started when first asked for. */
  prober(): Promise<Prober> {
    this.#prober ??= Prober.start(this.executables.probe);
    return this.#prober;
  }

  node(name: string): NodeRecord {
    const { nodes } = this.state();
    const node = nodes.find((n) => n.name === name);
    if (!node) throw new LabError("NOT_FOUND", `no node ${name}; there are ${nodes.map((n) => n.name).join(", ")}`);
    return node;
  }

  /** `name` is `NAMESPACE/NAME`, or `NAME` in namespace `default`. */
  pod(name: string | PodName): PodRecord {
    const wanted = typeof name === "string" ? parsePodName(name) : name;
    const pod = this.state().pods.find((p) => p.namespace === wanted.namespace && p.name === wanted.name);
    if (!pod) throw new LabError("NOT_FOUND", `no pod ${formatPodName(wanted)}`);
    return pod;
  }

  /** What stands in for a Kubernetes API. Rejects where nobody follows it. */
  get manifests(): Manifests {
    if (!this.state().policies) throw new LabError("USAGE", "this lab was brought up with --no-policies");
    return new Manifests(this.paths.manifests);
  }

  /** Creates a pod and resolves when ADD has answered, which is when it can be reached. */
  addPod(name: string | PodName, node: string, options: AddPodOptions = {}): Promise<PodRecord> {
    return this.pods.add(typeof name === "string" ? parsePodName(name) : name, node, options);
  }

  /** CNI DEL, then removes the namespace. */
  delPod(name: string | PodName): Promise<void> {
    return this.pods.delete(this.pod(name));
  }

  /** The namespace of a pod (`NS/NAME`), of a node, of `outside` or of `fabric`. */
  netnsOf(target: string): string {
    const state = this.state();
    const node = state.nodes.find((n) => n.name === target);
    if (node) return node.netns;
    if (target === "outside") return netnsName.outside(state.id);
    if (target === "fabric") return netnsName.fabric(state.id);
    return this.pod(target).netns;
  }

  /** Command line that runs `argv` in a namespace of the lab, and the environment that marks it as the lab's. */
  command(target: string, argv: readonly string[]): { argv: string[]; env: Record<string, string> } {
    return {
      argv: ["ip", "netns", "exec", this.netnsOf(target), ...argv],
      env: { [MARK]: `${this.state().id}/exec` },
    };
  }

  /** Runs a command in a namespace of the lab, to its end. */
  exec(target: string, argv: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    const command = this.command(target, argv);
    return exec(command.argv, { ...options, env: { ...options.env, ...command.env } });
  }

  /**
   * Ends a node's agent or VPP, by SIGKILL unless `graceful`, and resolves when it is there again, with its new pid: the
   * agent ready, VPP (which the agent starts again) with the agent connected to it.
   */
  async restart(nodeName: string, part: "agent" | "vpp" = "agent", options: RestartOptions = {}): Promise<number> {
    const node = this.node(nodeName);
    if (part === "vpp" && node.dataplane !== "vpp") {
      throw new LabError("USAGE", `${nodeName} runs the ${node.dataplane} dataplane: there is no VPP to restart`);
    }
    await using _held = await lock(this.dir, `node-${nodeName}`, { signal: options.signal });
    if (part === "vpp") {
      return restartVpp(nodeName, this.paths.node(nodeName), () => this.agentStatus(nodeName), options);
    }
    const old = recorded(this.#ledger, agentRole(nodeName));
    if (old) await stopProcesses([old], { kill: options.graceful !== true });
    await startAgent(this.state(), node, this.#deps, options);
    return recorded(this.#ledger, agentRole(nodeName))?.pid ?? 0;
  }

  /**
   * Moves a node to another dataplane, or to the same again, under its pods: the agent is ended and comes back with the
   * other configuration. Resolves when it is ready.
   */
  async switch(nodeName: string, dataplane: NodeRecord["dataplane"], options: ReadyWait = {}): Promise<void> {
    const node = { ...this.node(nodeName), dataplane };
    await using _held = await lock(this.dir, `node-${nodeName}`, { signal: options.signal });
    await switchDataplane(node, this.#deps, options);
  }

  /** `GET /status` of a node's agent. */
  async agentStatus(nodeName: string): Promise<AgentStatus> {
    const { status, body } = await (await this.prober()).get(this.node(nodeName).netns, `http://${AGENT_REST}/status`);
    if (status !== 200) throw new LabError("FAILED", `the agent of ${nodeName} answered ${status} to /status`);
    return JSON.parse(body) as AgentStatus;
  }

  status(): LabStatus {
    return labStatus(this.state(), this.paths, this.executables);
  }

  async #closeProber(): Promise<void> {
    const prober = this.#prober;
    this.#prober = undefined;
    // One that never started has nothing to close, and whoever asked for it knows.
    await prober?.then((p) => p.close()).catch(() => {});
  }

  /** Lets go of the lab, which goes on. */
  async close(): Promise<void> {
    await this.#closeProber();
  }

  /** Removes the lab. */
  async down(): Promise<DownResult> {
    await this.#closeProber();
    return Lab.down(this.dir);
  }

  /** Removes a lab that came from {@link Lab.up}; only lets go of one that came from {@link Lab.open}. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#owned) await this.down();
    else await this.close();
  }
}
