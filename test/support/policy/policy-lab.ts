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
import {
  allCells,
  type Cell,
  cellKey,
  type ExpectedCell,
  endOf,
  OUTSIDE,
  type PolicyCase,
  type World,
} from "./catalogue.ts";

/**
 * Of what has not come out as expected, first and when it is repeated: what a probe may take, and how many there are at once.
 * A round trip takes 1 ms; a busy machine is late, and loses packets of a thousand handshakes at once: the kernel sends the
 * first of a connection again after a second, and after two more (RFC 6298).
 */
const ROUNDS = [
  { timeoutMs: 80, atOnce: 1024 },
  { timeoutMs: 500, atOnce: 256 },
  { timeoutMs: 3500, atOnce: 64 },
] as const;
const KINDS = { TCP: "tcp", UDP: "udp", SCTP: "sctp" } as const;
/** What the first packets between all ends may take: neighbours are looked for, on a machine that is busy with other things. */
const READY_MS = 30_000;

export interface Target {
  readonly address: string;
  readonly port: number;
}

/** Where a cell's connection is made to. */
export type Way = (world: World, cell: Cell) => Target;

const directly: Way = (world, { to, family, port }) => ({
  address: endOf(world, to).ips[family === 4 ? 0 : 1],
  port,
});

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

  /**
   * Waits until everything passes that can be tried where there are no policies. Resolves with the milliseconds that it took;
   * rejects after 30 s with what does not pass.
   */
  async ready(): Promise<number> {
    const isProbeable = this.probeable([]);
    let left: readonly ExpectedCell[] = allCells(this.world)
      .filter(isProbeable)
      .map((cell) => ({ ...cell, allowed: true }));
    const began = performance.now();
    for (;;) {
      left = await this.#unexpected(left, ROUNDS[1], directly);
      const took = Math.round(performance.now() - began);
      if (left.length === 0) return took;
      if (took > READY_MS) throw new Error(`after ${took} ms without any policy: ${left.map(describeCell).join(", ")}`);
    }
  }

  /** What of these does not behave as expected, in words; empty when all does. */
  async wrong(cells: readonly ExpectedCell[], way: Way = directly): Promise<string[]> {
    let left = cells;
    for (const round of ROUNDS) left = await this.#unexpected(left, round, way);
    return left.map(describeCell);
  }

  async #unexpected(
    cells: readonly ExpectedCell[],
    { timeoutMs, atOnce }: (typeof ROUNDS)[number],
    way: Way,
  ): Promise<ExpectedCell[]> {
    const wrong: ExpectedCell[] = [];
    for (let i = 0; i < cells.length; i += atOnce) {
      const some = cells.slice(i, i + atOnce);
      const passed = await Promise.all(some.map((cell) => this.#probe(cell, way(this.world, cell), timeoutMs)));
      wrong.push(...some.filter((cell, j) => passed[j] !== cell.allowed));
    }
    return wrong;
  }

  /**
   * The cells that can be tried here. Not from the outside: nobody there has a route to pods.
   * From a node to pods of another one only where no block of addresses is about it: which of a node's addresses it then
   * comes from is the dataplane's choice, and the overlay's own is one of the pods' network.
   */
  probeable(steps: PolicyCase["steps"]): (cell: Cell) => boolean {
    const hasBlocks = /"(?:ipBlock|networks)"/.test(JSON.stringify(steps.map(({ put }) => put)));
    const nodeOf = (end: string): string => this.world.pods.find(({ id }) => id === end)?.node ?? end;
    const isNode = (end: string): boolean => this.world.nodes.some(({ name }) => name === end);
    return ({ from, to }) => {
      if (from === OUTSIDE || from === to) return false;
      return !(hasBlocks && isNode(from) && nodeOf(to) !== from);
    };
  }

  async #probe({ from, protocol }: Cell, { address, port }: Target, timeoutMs: number): Promise<boolean> {
    const prober = await this.nodes.lab.prober();
    return (await prober.probe(KINDS[protocol], this.nodes.lab.netnsOf(from), address, { port, timeoutMs })).ok;
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

const describeCell = (cell: ExpectedCell): string => `${cellKey(cell)} is ${cell.allowed ? "denied" : "allowed"}`;
