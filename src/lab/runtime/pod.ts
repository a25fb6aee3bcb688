import { randomBytes, randomUUID } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fullMessage } from "../../base/errors/errors.ts";
import { LabError } from "../errors.ts";
import { Manifests } from "../kubernetes/manifests.ts";
import { formatPodName, netnsName, type PodName } from "../names.ts";
import { addNetns, deleteNetns, listNetns, NETNS_DIR } from "../net/ip.ts";
import type { Executables, LabPaths } from "../paths.ts";
import { type Ledger, writeAtomically } from "../state/ledger.ts";
import { type ContainerPort, type PodRecord, withoutPod, withPod } from "../state/state.ts";
import { type CniCall, type CniResult, cniAdd, cniCheck, cniDel, readConfList, resultIps } from "./cni.ts";

export interface AddPodOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Of its container; what named ports of policies mean. */
  readonly ports?: readonly ContainerPort[];
  /** Passed by the capability `io.kubernetes.cri.pod-annotations`, as containerd does. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** `portMappings`, `bandwidth`, `ips`, `mac`, as a runtime passes them. */
  readonly runtimeConfig?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal | undefined;
}

function runtimeConfigOf({ annotations = {}, runtimeConfig }: AddPodOptions): AddPodOptions["runtimeConfig"] {
  if (Object.keys(annotations).length === 0) return runtimeConfig;
  return { ...runtimeConfig, "io.kubernetes.cri.pod-annotations": annotations };
}

/**
 * The container runtime's part: makes a pod's namespace and executes the CNI plugin, with the arguments, environment
 * and standard input that containerd gives it.
 */
export class PodRuntime {
  readonly #ledger: Ledger;
  readonly #paths: LabPaths;
  readonly #executables: Executables;
  readonly #manifests: Manifests;

  constructor(ledger: Ledger, paths: LabPaths, executables: Executables) {
    this.#ledger = ledger;
    this.#paths = paths;
    this.#executables = executables;
    this.#manifests = new Manifests(paths.manifests);
  }

  #call(pod: PodRecord, options: { signal?: AbortSignal | undefined } = {}): CniCall {
    return {
      containerId: pod.containerId,
      netns: listNetns().includes(pod.netns) ? join("/var", NETNS_DIR, pod.netns) : "",
      ifname: "eth0",
      args: [
        ["IgnoreUnknown", "1"],
        ["K8S_POD_NAMESPACE", pod.namespace],
        ["K8S_POD_NAME", pod.name],
        ["K8S_POD_INFRA_CONTAINER_ID", pod.containerId],
        ["K8S_POD_UID", pod.uid],
      ],
      ...(pod.runtimeConfig ? { runtimeConfig: pod.runtimeConfig } : {}),
      signal: options.signal,
    };
  }

  #cacheFile(pod: PodRecord): string {
    return join(this.#paths.node(pod.node).cniCache, `${pod.containerId}.json`);
  }

  #cached(pod: PodRecord): CniResult | undefined {
    const path = this.#cacheFile(pod);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as CniResult) : undefined;
  }

  /** {@link addTimed} without the time. */
  async add(name: PodName, nodeName: string, options: AddPodOptions = {}): Promise<PodRecord> {
    return (await this.addTimed(name, nodeName, options)).record;
  }

  /**
   * Makes the pod. `addMs` is the wall time of the plugin's ADD. If ADD fails, everything is taken back, with a DEL as
   * a runtime sends it.
   */
  async addTimed(
    name: PodName,
    nodeName: string,
    options: AddPodOptions = {},
  ): Promise<{ readonly record: PodRecord; readonly addMs: number }> {
    const containerId = randomBytes(32).toString("hex");
    const runtimeConfig = runtimeConfigOf(options);
    const state = await this.#ledger.update((s) => {
      if (s.phase !== "up") throw new LabError("NOT_READY", `this lab is ${s.phase}`);
      if (!s.nodes.some((n) => n.name === nodeName)) {
        throw new LabError("NOT_FOUND", `no node ${nodeName}; there are ${s.nodes.map((n) => n.name).join(", ")}`);
      }
      if (s.pods.some((p) => p.namespace === name.namespace && p.name === name.name)) {
        throw new LabError("USAGE", `there is a pod ${formatPodName(name)} already`);
      }
      const netns = netnsName.pod(s.id, s.nextPod, name.name);
      const pod: PodRecord = {
        ...name,
        node: nodeName,
        netns,
        containerId,
        uid: randomUUID(),
        labels: options.labels ?? {},
        ...(options.ports ? { ports: options.ports } : {}),
        ips: [],
        ...(runtimeConfig ? { runtimeConfig } : {}),
      };
      return { ...withPod(s, pod), nextPod: s.nextPod + 1, namespaces: [...s.namespaces, netns] };
    });
    const pod = state.pods.find((p) => p.containerId === containerId) as PodRecord;
    try {
      await addNetns(pod.netns, { signal: options.signal });
      if (state.policies) this.#manifests.putPod(pod);
      const list = readConfList(this.#paths.node(nodeName).cniConf);
      const before = performance.now();
      const result = await cniAdd(this.#executables.cni, list, this.#call(pod, options));
      const addMs = performance.now() - before;
      writeAtomically(this.#cacheFile(pod), JSON.stringify(result));
      const done: PodRecord = { ...pod, ips: resultIps(result) };
      if (state.policies) this.#manifests.putPod(done);
      await this.#ledger.update((s) => {
        if (s.phase !== "up") throw new LabError("NOT_READY", `this lab is ${s.phase}`);
        return withPod(s, done);
      });
      return { record: done, addMs };
    } catch (e) {
      await this.#undo(pod);
      throw e;
    }
  }

  async #undo(pod: PodRecord): Promise<void> {
    try {
      await this.#remove(pod);
    } catch {
      // The reason why ADD failed is what the caller needs; `down` finds what is left in the ledger.
    }
  }

  async #remove(pod: PodRecord): Promise<void> {
    const list = readConfList(this.#paths.node(pod.node).cniConf);
    await cniDel(this.#executables.cni, list, this.#call(pod), this.#cached(pod));
    rmSync(this.#cacheFile(pod), { force: true });
    this.#manifests.removePod(pod);
    await deleteNetns(pod.netns);
    await this.#ledger.update((s) => withoutPod(s, pod));
  }

  /** CNI DEL only: the namespace stays, for a look at what is left in it. {@link delete} completes it. */
  async unwire(pod: PodRecord): Promise<void> {
    const list = readConfList(this.#paths.node(pod.node).cniConf);
    await cniDel(this.#executables.cni, list, this.#call(pod), this.#cached(pod));
  }

  /** CNI CHECK with the result that ADD gave. */
  async check(pod: PodRecord): Promise<void> {
    const added = this.#cached(pod);
    if (!added) throw new LabError("FAILED", `no result of ${formatPodName(pod)}'s ADD is known`);
    await cniCheck(this.#executables.cni, readConfList(this.#paths.node(pod.node).cniConf), this.#call(pod), added);
  }

  async delete(pod: PodRecord): Promise<void> {
    try {
      await this.#remove(pod);
    } catch (e) {
      throw new LabError("FAILED", `cannot remove ${formatPodName(pod)}: ${fullMessage(e)}`, { cause: e });
    }
  }
}
