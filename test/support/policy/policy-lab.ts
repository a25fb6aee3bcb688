import { stringify } from "yaml";
import { convertObject } from "../../../src/ksr/convert/convert.ts";
import { K8S_CODECS } from "../../../src/models/k8s/codecs.ts";
import type { PolicyStatus } from "../../../src/policy/handler.ts";
import { View } from "../../../src/policy/view.ts";
import type { DataplaneName } from "../agent-node/dataplanes.ts";
import { RestartLab } from "../restart-lab.ts";
import { until } from "../until.ts";
import { type ObjectChange, refKey, refOf } from "./catalogue/state.ts";
import type { PodFacts } from "./catalogue/world.ts";
import { type Cell, cellKey, type ExpectedCell, endOf, OUTSIDE, type PolicyCase, type World } from "./catalogue.ts";

/** What a probe may take, first and when it is repeated: a busy machine is late, or loses one. A round trip takes 1 ms. */
const PROBE_MS = [150, 500, 1000] as const;
const AT_ONCE = 1024;

/** The world of the catalogue in a lab of two nodes: pods with its addresses, servers on its ports. */
export class PolicyLab implements AsyncDisposable {
  readonly nodes: RestartLab;
  readonly world: World;
  readonly facts: ReadonlyMap<string, PodFacts>;
  /** Kind, namespace and name of all objects, as they are to be. */
  readonly #objects = new Map<string, unknown>();

  private constructor(nodes: RestartLab, world: World, facts: ReadonlyMap<string, PodFacts>) {
    this.nodes = nodes;
    this.world = world;
    this.facts = facts;
  }

  static async up(world: World, dataplane: DataplaneName): Promise<PolicyLab> {
    const nodes = await RestartLab.up({ nodes: world.nodes.length, dataplane, policies: true, inOrder: true });
    try {
      const { lab } = nodes;
      const facts = new Map<string, PodFacts>();
      for (const { id, node, ips, labels } of world.pods) {
        const pod = await lab.addPod(id, node, { labels, runtimeConfig: { ips } });
        facts.set(id, { uid: pod.uid, ips: pod.ips });
      }
      const prober = await lab.prober();
      for (const end of [...world.pods.map((p) => p.id), ...world.nodes.map((n) => n.name), OUTSIDE]) {
        for (const port of world.ports) await prober.serve(lab.netnsOf(end), port);
      }
      return new PolicyLab(nodes, world, facts);
    } catch (e) {
      await nodes.close();
      throw e;
    }
  }

  /** Writes objects, and waits until both nodes have them in force. */
  async apply(changes: readonly ObjectChange[]): Promise<void> {
    this.write(changes);
    const wanted = this.#view();
    for (const { name } of this.world.nodes) {
      await until(`${name} enforces what was written`, async () => {
        const { policy } = await this.nodes.get<{ policy: PolicyStatus }>(name, "/status");
        return policy.view === wanted;
      });
    }
  }

  /** Writes objects. */
  write(changes: readonly ObjectChange[]): void {
    const { manifests } = this.nodes.lab;
    for (const change of changes) {
      if (change.what === "put") {
        this.#objects.set(refKey(refOf(change.manifest)), change.manifest);
        manifests.apply(stringify(change.manifest));
      } else {
        this.#objects.delete(refKey(change.ref));
        const { kind, namespace, name } = change.ref;
        const metadata = namespace === "" ? { name } : { name, namespace };
        manifests.delete(stringify({ apiVersion: "v1", kind, metadata }));
      }
    }
  }

  /** What of these does not behave as expected, in words; empty when all does. */
  async wrong(cells: readonly ExpectedCell[]): Promise<string[]> {
    let left = cells;
    for (const timeoutMs of PROBE_MS) {
      const next: ExpectedCell[] = [];
      for (let i = 0; i < left.length; i += AT_ONCE) {
        const some = left.slice(i, i + AT_ONCE);
        const passed = await Promise.all(some.map((cell) => this.#probe(cell, timeoutMs)));
        next.push(...some.filter((cell, j) => passed[j] !== cell.allowed));
      }
      left = next;
    }
    return left.map((cell) => `${cellKey(cell)} is ${cell.allowed ? "denied" : "allowed"}`);
  }

  /**
   * The cells that can be tried here. Not from the outside: nobody there has a route to pods. Not SCTP: the kernel has none.
   * From a node to pods of another one only where no block of addresses is about it: which of a node's addresses it then
   * comes from is the dataplane's choice, and the overlay's own is one of the pods' network. On VPP from no node to another
   * one's pods: only ICMP gets through there, with and without policies.
   */
  probeable({ steps }: PolicyCase, dataplane: DataplaneName): (cell: Cell) => boolean {
    const hasBlocks = /"(?:ipBlock|networks)"/.test(JSON.stringify(steps.map(({ put }) => put)));
    const nodeOf = (end: string): string => this.world.pods.find(({ id }) => id === end)?.node ?? end;
    const isNode = (end: string): boolean => this.world.nodes.some(({ name }) => name === end);
    return ({ from, to, protocol }) => {
      if (from === OUTSIDE || protocol === "SCTP" || from === to) return false;
      return !((hasBlocks || dataplane === "vpp") && isNode(from) && nodeOf(to) !== from);
    };
  }

  async #probe({ from, to, protocol, port, family }: Cell, timeoutMs: number): Promise<boolean> {
    const prober = await this.nodes.lab.prober();
    const address = endOf(this.world, to).ips[family === 4 ? 0 : 1];
    const kind = protocol === "TCP" ? "tcp" : "udp";
    return (await prober.probe(kind, this.nodes.lab.netnsOf(from), address, { port, timeoutMs })).ok;
  }

  #view(): string {
    const view = new View();
    for (const object of this.#objects.values()) {
      const converted = convertObject(object);
      if (!converted) continue;
      const codec = K8S_CODECS[converted.kind];
      view.set(codec.key(converted.object), codec.encode(converted.object as never));
    }
    return view.digest;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.nodes.close();
  }
}
