import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import type { ProbeResult, Prober } from "../../../src/lab/probe/client.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import { NAMESPACE_NAME_LABEL, type Namespace } from "../../../src/models/k8s/namespace.ts";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import type { Pod } from "../../../src/models/k8s/pod.ts";
import { stamped } from "../../../src/models/k8s/proto/stamp.ts";
import { EmbeddedStore } from "../../../src/stores/embedded/embedded-store.ts";
import { type EmbeddedServer, serveEmbedded } from "../../../src/stores/embedded/server.ts";
import type { DataplaneName } from "../agent-node/dataplanes.ts";
import { janitor } from "../agent-node/janitor.ts";
import { AgentNode, type TestPod } from "../agent-node.ts";
import { sent } from "../restart-lab.ts";

const UID = (name: string): string => `uid-${name}`;

export interface PodSpec {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly ports?: Pod["ports"];
}

/** A node whose agent enforces the policies of a store that the test writes to. */
export class PolicyNode implements AsyncDisposable {
  readonly node: AgentNode;
  readonly prober: Prober;
  readonly #store: EmbeddedStore;
  readonly #socket: string;
  #server: EmbeddedServer | undefined;
  readonly #pods = new Map<string, TestPod>();

  private constructor(
    node: AgentNode,
    prober: Prober,
    { store, socket, server }: { store: EmbeddedStore; socket: string; server: EmbeddedServer },
  ) {
    this.node = node;
    this.prober = prober;
    this.#store = store;
    this.#socket = socket;
    this.#server = server;
  }

  static async start(
    policy: Readonly<Record<string, unknown>> = {},
    dataplane: DataplaneName = "linux",
  ): Promise<PolicyNode> {
    const dir = mkdtempSync(join(tmpdir(), "hd-store-"));
    janitor.dir(dir);
    const store = await EmbeddedStore.open();
    const socket = join(dir, "s");
    const server = await serveEmbedded(store, socket);
    const config = { store: { kind: "embedded", socket }, policy: { enforce: true, waitSeconds: 1, ...policy } };
    try {
      const node = await AgentNode.start({ config, dataplane });
      return new PolicyNode(node, await node.prober(), { store, socket, server });
    } catch (e) {
      await closeStore(store, server, socket);
      throw e;
    }
  }

  /** The agent's store does not answer any more; objects can be written to it all the same. */
  async loseStore(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }

  async findStore(): Promise<void> {
    this.#server = await serveEmbedded(this.#store, this.#socket);
  }

  pod(name: string): TestPod {
    const pod = this.#pods.get(name);
    if (!pod) throw new Error(`no pod ${name}`);
    return pod;
  }

  async putNamespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<void> {
    const codec = K8S_CODECS.namespace;
    const object: Namespace = {
      namespace: "",
      name,
      uid: UID(name),
      labels: { [NAMESPACE_NAME_LABEL]: name, ...labels },
    };
    await this.#store.put(codec.key(object), stamped(codec.encode(object), Date.now()));
  }

  async putPolicy(policy: Pick<NetworkPolicy, "name"> & Partial<NetworkPolicy>): Promise<void> {
    const codec = K8S_CODECS.networkpolicy;
    const object: NetworkPolicy = { namespace: "default", uid: UID(policy.name), podSelector: {}, ...policy };
    await this.#store.put(codec.key(object), stamped(codec.encode(object), Date.now()));
  }

  /** A policy as nobody should have written it. */
  async putUnreadablePolicy(name: string): Promise<void> {
    await this.#store.put(K8S_CODECS.networkpolicy.key({ namespace: "default", name }), Buffer.from("{"));
  }

  /** Whatever somebody has written; undefined deletes. */
  async putRaw(key: string, value: string | undefined): Promise<void> {
    if (value === undefined) await this.#store.delete(key);
    else await this.#store.put(key, new TextEncoder().encode(value));
  }

  async deletePolicy(name: string, namespace = "default"): Promise<void> {
    await this.#store.delete(K8S_CODECS.networkpolicy.key({ namespace, name }));
  }

  /** The Pod object; its addresses, if it has been wired, are those. */
  async putPodObject(name: string, { namespace = "default", labels = {}, ports = [] }: PodSpec = {}): Promise<void> {
    const codec = K8S_CODECS.pod;
    const wired = this.#pods.get(name);
    const object: Pod = {
      namespace,
      name,
      uid: UID(name),
      created: 1,
      labels,
      node: "n1",
      hostNetwork: false,
      phase: "Running",
      terminating: false,
      ips: wired ? wired.ips().map((ip) => parseIp(ip)) : [],
      ports,
    };
    await this.#store.put(codec.key(object), stamped(codec.encode(object), Date.now()));
  }

  /** A pod that listens on port 7000 and 8000, with its object unless `isUnknown`. */
  async addPod(name: string, spec: PodSpec & { readonly isUnknown?: boolean } = {}): Promise<TestPod> {
    if (!spec.isUnknown) await this.putPodObject(name, spec);
    const pod = await this.node.pod();
    const { namespace = "default" } = spec;
    await pod.add({ args: `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${UID(name)}` });
    this.#pods.set(name, pod);
    for (const port of PORTS) await this.prober.serve(pod.netns, port);
    return pod;
  }

  /** From a pod, or `node`, to a pod, `node` or `outside`. */
  probe(from: string, to: string, { port = 7000, kind = "tcp", family = 4 }: ProbeOptions = {}): Promise<ProbeResult> {
    const netns = from === "node" ? this.node.netns : this.pod(from).netns;
    const address = this.pod(to).ips()[family === 4 ? 0 : 1];
    return this.prober.probe(kind, netns, address, { port, timeoutMs: 400 });
  }

  /** Ends the agent as a crash would, and starts it again. */
  async restartAgent(): Promise<void> {
    await this.node.agent.end("SIGKILL");
    await this.node.startAgent();
  }

  /** What agents have done to the dataplane since `since` (wall-clock milliseconds), as `create linux/…`. */
  async done(since: number): Promise<readonly string[]> {
    const { body } = await this.prober.get(this.node.netns, `http://127.0.0.1:9191/scheduler/history?since=${since}`);
    return sent(JSON.parse(body) as RecordedTxn[]).map(({ op, key }) => `${op} ${key}`);
  }

  async status(): Promise<Record<string, unknown>> {
    const { body } = await this.prober.get(this.node.netns, "http://127.0.0.1:9191/status");
    return (JSON.parse(body) as { policy: Record<string, unknown> }).policy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.node.close();
    await closeStore(this.#store, this.#server, this.#socket);
  }
}

async function closeStore(store: EmbeddedStore, server: EmbeddedServer | undefined, socket: string): Promise<void> {
  await server?.close();
  await store.close();
  const dir = dirname(socket);
  rmSync(dir, { recursive: true, force: true });
  janitor.dirGone(dir);
}

export interface ProbeOptions {
  readonly port?: number;
  readonly kind?: "icmp" | "sctp" | "tcp" | "udp";
  readonly family?: 4 | 6;
}

const PORTS = [7000, 8000] as const;
