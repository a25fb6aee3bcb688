import type { Direction } from "../../../../src/policy/api.ts";
import type { PolicyCase } from "../catalogue.ts";
import { allCells, type Cell, cellKey, type Pair } from "./expectations.ts";
import { type Judge, oracleJudge } from "./judges.ts";
import { type ObjectChange, WorldState } from "./state.ts";
import { allEnds, endOf, PROTOCOLS, type World, type WorldPod } from "./world.ts";

/**
 * Pairs for which a case can be told from a cluster without policies: in one of its steps, the source's egress or the target's
 * ingress is restricted, if only towards others.
 */
export function pairsThatCanDiffer(world: World, { steps }: PolicyCase): (pair: Pair) => boolean {
  const restricted: Readonly<Record<Direction, Set<string>>> = { egress: new Set(), ingress: new Set() };
  const state = new WorldState(world);
  const changes: ObjectChange[] = state.begin();
  for (const step of steps) {
    changes.push(...state.step(step));
    const passes = oracleJudge(world, changes);
    for (const pod of world.pods) {
      for (const direction of ["egress", "ingress"] as const) {
        if (isRestricted(world, passes, pod, direction)) restricted[direction].add(pod.id);
      }
    }
  }
  return ({ from, to }) => restricted.egress.has(from) || restricted.ingress.has(to);
}

function isRestricted(world: World, passes: Judge, pod: WorldPod, direction: Direction): boolean {
  return allEnds(world).some((end) =>
    endOf(world, end).ips.some((peer) =>
      PROTOCOLS.some((protocol) => world.ports.some((port) => !passes(pod, direction, peer, protocol, port))),
    ),
  );
}

export interface QuickOptions {
  readonly seed: number;
  /** Of what can't differ, a part of 1; a tenth if absent. */
  readonly share?: number;
}

/** The cells that a quick run probes, after every step of the case: what can differ, and a seeded share of the rest. */
export function quickCells(world: World, c: PolicyCase, { seed, share = 0.1 }: QuickOptions): Cell[] {
  const canDiffer = pairsThatCanDiffer(world, c);
  return allCells(world).filter((cell) => canDiffer(cell) || chance(`${seed} ${c.id} ${cellKey(cell)}`) < share);
}

/** A number from 0 to 1 that the text alone determines (FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv). */
function chance(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  // Its low bits are better mixed than its high ones in short texts.
  return (hash % 65_536) / 65_536;
}
