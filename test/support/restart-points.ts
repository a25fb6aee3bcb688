import { FAULT_POINTS, type FaultPoint } from "../../src/base/faults/fault-point.ts";
import { Random } from "./restart-random.ts";

const all = process.env["HEDDLE_TEST_ALL"] === "1";

/** How often each fault point is passed. A new await that nothing passes shows here as a 0 that somebody has to write. */
export type Passes = Readonly<Record<FaultPoint, number>>;

/** A start that finds nothing wrong: one resync. */
export const START: Passes = {
  "cni.received": 0,
  "cni.identified": 0,
  "loop.taken": 1,
  "loop.planned": 1,
  "loop.remembered": 0,
  "loop.applied": 1,
  "loop.committed": 1,
  "cni.settled": 0,
  "link.opened": 0,
  "link.created": 0,
  "link.half": 0,
  "link.up": 0,
  "link.followed": 0,
  "link.grouped": 0,
  "link.gone": 0,
  "ifb.created": 0,
  "ifb.found": 0,
  "setup.half": 0,
  "setup.up": 0,
  "address.set": 0,
  "l3.done": 0,
  "carrier.up": 0,
  "shaper.done": 0,
  "redirect.half": 0,
  "redirect.done": 0,
  "sysctl.read": 0,
  "sysctl.set": 0,
  "nft.done": 0,
  "flows.read": 0,
  "flows.ended": 0,
  "flows.done": 0,
};

/**
 * ADD of a dual-stack pod with a host port and both directions shaped: 2 × (address, gateway, 2 routes, neighbour). Somebody
 * has sent to the UDP port over IPv4.
 */
export const ADD: Passes = {
  "cni.received": 1,
  "cni.identified": 1,
  "loop.taken": 1,
  "loop.planned": 1,
  "loop.remembered": 1,
  "loop.applied": 1,
  "loop.committed": 1,
  "cni.settled": 1,
  "link.opened": 1,
  "link.created": 1,
  "link.half": 1,
  "link.up": 1,
  "link.followed": 0,
  "link.grouped": 0,
  "link.gone": 0,
  "ifb.created": 1,
  "ifb.found": 1,
  "setup.half": 1,
  "setup.up": 1,
  "address.set": 2,
  "l3.done": 10,
  "carrier.up": 1,
  "shaper.done": 2,
  "redirect.half": 1,
  "redirect.done": 1,
  "sysctl.read": 1,
  "sysctl.set": 1,
  "nft.done": 1,
  "flows.read": 2,
  "flows.ended": 1,
  "flows.done": 1,
};

/** DEL of it: routes and the like go with their link; veth and IFB are two links, one after the other. */
export const DEL: Passes = {
  ...START,
  "cni.received": 1,
  "cni.identified": 1,
  "loop.remembered": 1,
  "cni.settled": 1,
  "link.followed": 2,
  "link.gone": 2,
  "nft.done": 1,
  "flows.read": 2,
  "flows.ended": 1,
  "flows.done": 1,
};

/** A start after somebody took away a pod's links and our table, and left a link of a pod that nobody knows. */
export const REPAIR: Passes = {
  ...START,
  "link.opened": 1,
  "link.created": 1,
  "link.half": 1,
  "link.up": 1,
  "link.followed": 1,
  "link.gone": 1,
  "ifb.created": 1,
  "ifb.found": 1,
  "setup.half": 1,
  "setup.up": 1,
  "address.set": 2,
  "l3.done": 10,
  "carrier.up": 1,
  "shaper.done": 2,
  "redirect.half": 1,
  "redirect.done": 1,
  "sysctl.read": 1,
  "sysctl.set": 1,
  "nft.done": 1,
  "flows.read": 2,
  "flows.done": 1,
};

export interface Case {
  readonly point: FaultPoint;
  readonly nth: number;
}

const random = Random.fromEnvironment();

/** The first or the last time that each point is passed, by the run's seed; every time in the big run. */
export function cases(passes: Passes): Case[] {
  return FAULT_POINTS.flatMap((point) => {
    const count = passes[point];
    const times = all
      ? Array.from({ length: count }, (_, i) => i + 1)
      : count > 0
        ? [random.next() < 0.5 ? 1 : count]
        : [];
    return times.map((nth) => ({ point, nth }));
  });
}

/** What was counted, as a table. */
export const asTable = (counts: ReadonlyMap<FaultPoint, number>): Passes =>
  Object.fromEntries(FAULT_POINTS.map((point) => [point, counts.get(point) ?? 0])) as unknown as Passes;

export const neverPassed = (passes: Passes): string => FAULT_POINTS.filter((point) => passes[point] === 0).join(", ");
