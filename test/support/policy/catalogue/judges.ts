import { strict as assert } from "node:assert";
import type { IpAddress } from "../../../../src/base/ip/address.ts";
import { type Direction, elementKey, type PolicyInput } from "../../../../src/policy/api.ts";
import { PolicyEngine } from "../../../../src/policy/engine.ts";
import { judge } from "../../../../src/policy/tables/judge.ts";
import { oracleAllows } from "../../policy-oracle/oracle.ts";
import { stateAfter } from "../../policy-oracle/random-cluster.ts";
import type { Cell } from "./expectations.ts";
import { inputOf, type ObjectChange, wiringsOn } from "./state.ts";
import { endOf, type Protocol, type World, type WorldPod } from "./world.ts";

/** Whether a packet that begins a connection passes a pod's interface. */
export type Judge = (pod: WorldPod, direction: Direction, peer: IpAddress, protocol: Protocol, port: number) => boolean;

/** Whether a connection can be made: both ends that are pods have their say, each on its own node. */
export function allows(world: World, passes: Judge, { from, to, protocol, port, family }: Cell): boolean {
  const [source, target] = [endOf(world, from), endOf(world, to)];
  const place = family === 4 ? 0 : 1;
  return (
    (!source.pod || passes(source.pod, "egress", target.ips[place], protocol, port)) &&
    (!target.pod || passes(target.pod, "ingress", source.ips[place], protocol, port))
  );
}

/** What the oracle says after these changes of the cluster. */
export function oracleJudge(world: World, changes: readonly ObjectChange[]): Judge {
  const inputs = changes.map(inputOf);
  const states = new Map(
    world.nodes.map(({ name }) => [name, { ...stateAfter([...inputs, ...wiringsOn(world, name)]), node: name }]),
  );
  return (pod, direction, peer, protocol, port) => {
    const state = states.get(pod.node);
    const wiring = state?.wirings.get(pod.id);
    assert.ok(state && wiring);
    return oracleAllows(state, wiring, { direction, peer, protocol, port });
  };
}

/** An engine on each node, as agents have them. */
export class Engines {
  readonly #world: World;
  readonly #engines: ReadonlyMap<string, PolicyEngine>;

  constructor(world: World) {
    this.#world = world;
    this.#engines = new Map(world.nodes.map(({ name }) => [name, new PolicyEngine({ node: name })]));
    for (const [node, engine] of this.#engines) engine.apply(wiringsOn(world, node));
  }

  apply(changes: readonly ObjectChange[]): void {
    const inputs: readonly PolicyInput[] = changes.map(inputOf);
    for (const engine of this.#engines.values()) engine.apply(inputs);
  }

  /** Everything that is to be in force, by node. */
  rows(): unknown {
    return [...this.#engines].map(([node, engine]) => ({ node, rows: engine.rows() }));
  }

  /** What the rows and tables of now say. */
  judge(): Judge {
    const nodes = new Map(
      [...this.#engines].map(([name, engine]) => {
        const { pods, tables, sets } = engine.rows();
        const own: readonly string[] = this.#world.nodes.find((n) => n.name === name)?.ips ?? [];
        const elements = new Map(sets.map((s) => [`${s.id}/${s.family}`, new Set(s.elements.map(elementKey))]));
        return [
          name,
          { pods: new Map(pods.map((p) => [p.id, p])), tables: new Map(tables.map((t) => [t.id, t])), elements, own },
        ];
      }),
    );
    return (pod, direction, peer, protocol, port) => {
      const node = nodes.get(pod.node);
      const row = node?.pods.get(pod.id);
      const table = row && node?.tables.get(row[direction]);
      assert.ok(node && row && table, `no table for ${pod.id}`);
      // What src/policy/api.ts says comes before the tables.
      if (row.ips.includes(peer) || (direction === "ingress" && node.own.includes(peer))) return true;
      const judged = judge(
        table,
        { peer, protocol, port },
        {
          isOwnNode: (ip) => node.own.includes(ip),
          inSet: (set) => {
            const found = node.elements.get(`${set}/${peer.includes(":") ? 6 : 4}`);
            assert.ok(found, `no set ${set}`);
            return found.has(peer) || found.has(`${peer}|${protocol}|${port}`);
          },
        },
      );
      return judged.verdict === "accept";
    };
  }
}
