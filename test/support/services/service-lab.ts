import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import type { ProbeResult } from "../../../src/lab/probe/client.ts";
import { execOk } from "../../../src/lab/process/exec.ts";
import type { DataplaneChoice, Overlay, PodRecord } from "../../../src/lab/state/state.ts";
import type { ServiceExplanation } from "../../../src/services/explain.ts";
import type { ServiceStatus } from "../../../src/services/handler.ts";
import { RestartLab } from "../restart-lab.ts";
import { until } from "../until.ts";
import type { Shares } from "./even.ts";

export interface ProbeOptions {
  readonly kind?: "greet" | "sctp" | "tcp" | "udp";
  readonly port?: number;
  readonly timeoutMs?: number;
  readonly sourcePort?: number;
}

/** The part of a Service that a test is about; its name and namespace (`default`) are added. */
export type Spec = Readonly<Record<string, unknown>>;

/** What else a Service has. */
export interface ServiceMore {
  readonly status?: Spec;
  readonly annotations?: Spec;
  readonly labels?: Spec;
}

/** An endpoint: a pod of the lab by its name, or an address that is on a node. */
export interface EndpointSpec {
  readonly pod?: string;
  readonly address?: string;
  readonly node?: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
  readonly hints?: Spec;
}

const AFTER_MS = 60;
const SERVICE_CIDRS = ["10.96.0.0/16", "fd00:96::/112"];
/** Where pods and nodes of the lab listen: each on its own, whatever the protocol. */
export const TARGET_PORT = 7000;

/** Two nodes with pods that answer, and services that the test writes as the Kubernetes API would show them. */
export class ServiceLab implements AsyncDisposable {
  readonly nodes: RestartLab;
  /** Endpoints by service and slice, as {@link describe} has them. */
  readonly #wanted = new Map<string, Map<string, readonly string[]>>();

  #made = 1;

  private constructor(nodes: RestartLab) {
    this.nodes = nodes;
  }

  /** `pods`: names to nodes. */
  static async up(
    dataplane: DataplaneChoice,
    pods: Readonly<Record<string, string>>,
    overlay: Overlay = "vxlan",
  ): Promise<ServiceLab> {
    const nodes = await RestartLab.up({ nodes: 2, dataplane, overlay, policies: true, inOrder: true });
    const made = new ServiceLab(nodes);
    try {
      const { lab } = nodes;
      lab.manifests.apply(
        stringify({
          apiVersion: "networking.k8s.io/v1",
          kind: "ServiceCIDR",
          metadata: { name: "k" },
          spec: { cidrs: SERVICE_CIDRS },
        }),
      );
      await Promise.all(Object.entries(pods).map(([name, node]) => lab.addPod(name, node, { labels: { app: name } })));
      const prober = await lab.prober();
      const ends = ["n1", "n2", "outside", ...Object.keys(pods)];
      for (const end of ends) await prober.serve(lab.netnsOf(end), TARGET_PORT);
      if (dataplane !== "linux") await made.#meet(Object.keys(pods));
      return made;
    } catch (e) {
      await nodes.close();
      throw e;
    }
  }

  /** VPP asks for a neighbour with the first packet that it has for it, which is lost. */
  async #meet(pods: readonly string[]): Promise<void> {
    for (const to of ["n1", "n2"]) {
      for (const ip of this.ips(to)) await this.hits(["n1", "n2", ...pods], ip, { port: TARGET_PORT });
    }
  }

  /** Leads what the outside sends to these addresses to a node. */
  async lead(ips: Iterable<string>, node: string): Promise<void> {
    for (const ip of ips) {
      const via = this.ips(node)[ip.includes(":") ? 1 : 0] ?? "";
      await this.exec("fabric", "ip", "route", "replace", ip, "via", via);
    }
  }

  pod(name: string): PodRecord {
    return this.nodes.lab.pod(name);
  }

  /** Addresses of a pod, or of a node on the underlay; IPv4 first. */
  ips(end: string): readonly string[] {
    const node = this.nodes.lab.state().nodes.find((n) => n.name === end);
    return node ? node.underlay : this.pod(end).ips;
  }

  /** A Service; `spec` with `ports`, `clusterIPs` and what else it is about. */
  service(name: string, spec: Spec, more: ServiceMore = {}): void {
    const { status, annotations, labels } = more;
    if (!this.#wanted.has(name)) this.#wanted.set(name, new Map());
    const metadata = {
      name,
      uid: `uid-${name}`,
      ...(annotations ? { annotations } : {}),
      ...(labels ? { labels } : {}),
    };
    this.apply({ apiVersion: "v1", kind: "Service", metadata, spec, ...(status ? { status } : {}) });
  }

  /** A service of both families with its endpoints, in force, at addresses that no other one has; of one port unless `spec` says else. */
  async make(
    name: string,
    spec: Spec,
    endpoints: readonly EndpointSpec[],
    more: ServiceMore = {},
  ): Promise<Readonly<Record<4 | 6, string>>> {
    const n = this.#made++;
    const ips = { 4: `10.96.1.${n}`, 6: `fd00:96::${(0x100 + n).toString(16)}` };
    this.service(name, { clusterIPs: Object.values(ips), ports: [{ port: 80 }], ...spec }, more);
    const { protocol = "TCP" } = (spec["ports"] as { protocol?: string }[] | undefined)?.[0] ?? {};
    for (const family of [4, 6] as const) this.endpoints(name, family, endpoints, [{ protocol }]);
    await this.settled();
    return ips;
  }

  /** The endpoints of a service, of one family, at {@link TARGET_PORT} for each of its ports; of one slice of several. */
  endpoints(
    name: string,
    family: 4 | 6,
    endpoints: readonly EndpointSpec[],
    ports: readonly { readonly name?: string; readonly protocol?: string; readonly port?: number }[] = [{}],
    slice = "",
  ): void {
    const sliceName = [name, family, slice].filter((part) => part !== "").join("-");
    const addressOf = ({ address, pod }: EndpointSpec): string =>
      address ?? this.ips(pod ?? "")[family === 4 ? 0 : 1] ?? "";
    this.#wanted.get(name)?.set(
      sliceName,
      endpoints.map((e) => describe(family, addressOf(e), e.ready ?? true)),
    );
    this.apply({
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name: sliceName, labels: { "kubernetes.io/service-name": name } },
      addressType: `IPv${family}`,
      ports: ports.map((port) => ({ name: "", protocol: "TCP", port: TARGET_PORT, ...port })),
      endpoints: endpoints.map(({ pod, address, node, ready = true, serving = ready, terminating = false, hints }) => ({
        addresses: [address ?? this.ips(pod ?? "")[family === 4 ? 0 : 1]],
        nodeName: node ?? (pod === undefined ? undefined : this.pod(pod).node),
        conditions: { ready, serving, terminating },
        ...(hints ? { hints } : {}),
      })),
    });
  }

  apply(object: unknown): void {
    this.nodes.lab.manifests.apply(stringify(object));
  }

  delete(kind: string, name: string): void {
    if (kind === "Service") this.#wanted.delete(name);
    const apiVersion = { EndpointSlice: "discovery.k8s.io/v1", ServiceCIDR: "networking.k8s.io/v1" }[kind] ?? "v1";
    this.nodes.lab.manifests.delete(stringify({ apiVersion, kind, metadata: { name } }));
  }

  /** Removes the services that there are. */
  clear(): void {
    for (const name of [...this.#wanted.keys()]) this.delete("Service", name);
  }

  async probe(from: string, to: string, options: ProbeOptions = {}): Promise<ProbeResult> {
    const { kind = "tcp", port = 80, timeoutMs = 800, sourcePort } = options;
    const prober = await this.nodes.lab.prober();
    return prober.probe(kind, this.nodes.lab.netnsOf(from), to, {
      port,
      timeoutMs,
      ...(sourcePort === undefined ? {} : { sourcePort }),
    });
  }

  /** Who answered and as whom the client was seen, as `b1 saw c1`; or the error. Names where they are known. */
  async hit(from: string, to: string, options: ProbeOptions = {}): Promise<string> {
    const result = await this.probe(from, to, options);
    if (!result.ok) return result.error;
    const { answeredBy = "?", seenAs = "?" } = result;
    return `${this.nameOf(answeredBy)} saw ${this.nameOf(seenAs)}`;
  }

  /** Each client's {@link hit} of the same, all at once. */
  async hits(clients: readonly string[], to: string, options: ProbeOptions = {}): Promise<Record<string, string>> {
    const hits = clients.map(async (from) => [from, await this.hit(from, to, options)] as const);
    return Object.fromEntries(await Promise.all(hits));
  }

  /** Who answers so many connections, a hundred at a time. @throws if one fails */
  async shares(from: string, to: string, count: number): Promise<Shares> {
    const prober = await this.nodes.lab.prober();
    const netns = this.nodes.lab.netnsOf(from);
    const counts = new Map<string, number>();
    let left = count;
    const ask = async (): Promise<void> => {
      while (left-- > 0) {
        const result = await prober.probe("greet", netns, to, { port: 80, timeoutMs: 5000 });
        if (!result.ok) throw new Error(`${from} gets ${result.error} of ${to}, ${left} before the end`);
        const { answeredBy = "?" } = result;
        counts.set(answeredBy, (counts.get(answeredBy) ?? 0) + 1);
      }
    };
    await Promise.all(Array.from({ length: 100 }, ask));
    return Object.fromEntries([...counts].map(([ip, n]) => [this.nameOf(ip), n]));
  }

  /** Waits until a client gets what is expected. */
  async soon(from: string, to: string, expected: RegExp, options: ProbeOptions = {}): Promise<void> {
    let last = "";
    try {
      await until("", async () => expected.test((last = await this.hit(from, to, options))), 5000);
    } catch {
      throw new Error(`${from} gets ${last} of ${to}, not ${expected.source}`);
    }
  }

  nameOf(ip: string): string {
    const { nodes, pods } = this.nodes.lab.state();
    const pod = pods.find((p) => p.ips.includes(ip));
    if (pod) return pod.name;
    const node = nodes.find((n) => n.underlay.includes(ip));
    if (node) return node.name;
    if (ip === underlayPlan.outside.v4 || ip === underlayPlan.outside.v6) return "outside";
    // The overlay's own, the first of the node's subnet.
    const gateway = /^(?:10\.244\.(\d+)\.1|fd10:244:0:(\d+)::(?:\d+:)?1)$/.exec(ip);
    if (gateway) return `n${gateway[1] ?? gateway[2]}`;
    // VPP's own, which is no pod's.
    const subnet = /^(?:10\.244\.(\d+)\.0|fd10:244:0:(\d+)::)$/.exec(ip);
    return subnet ? `subnet${subnet[1] ?? subnet[2]}` : ip;
  }

  /** Waits until every node has in force the endpoints that were written, and services with as many addresses. */
  async settled(): Promise<void> {
    for (const [name, wanted] of this.#wanted) {
      for (const node of ["n1", "n2"]) {
        await until(`${node} knows ${name}`, async () => {
          const path = `/services/explain?of=default/${name}`;
          const { ports = [] } = await this.nodes.get<Partial<ServiceExplanation>>(node, path);
          const known = ports.flatMap((p) => p.endpoints.map((e) => describe(p.family, e.address, e.ready)));
          const expected = [...wanted.values()].flat();
          return [...new Set(known)].sort().join() === expected.sort().join();
        });
      }
    }
    // What is known is in force a few milliseconds later.
    await delay(AFTER_MS);
  }

  async status(node: string): Promise<ServiceStatus> {
    return (await this.nodes.get<{ services: ServiceStatus }>(node, "/status")).services;
  }

  exec(target: string, ...argv: readonly string[]): Promise<string> {
    return execOk(this.nodes.lab.command(target, argv).argv);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.nodes.close();
  }
}

const describe = (family: 4 | 6, address: string, ready: boolean): string => `IPv${family} ${address} ${ready}`;
