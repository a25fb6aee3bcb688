import { millis, sleep, systemClock } from "../../base/clock/clock.ts";
import type { Lab } from "../lab.ts";
import type { Prober } from "../probe/client.ts";
import { keepAlive } from "../process/daemon.ts";
import type { Endpoint } from "./cells.ts";
import { type Snapshot, sameSnapshot, snapshotNetwork } from "./snapshot.ts";

/** The network state of every node, by name. */
export async function snapshotNodes(lab: Lab): Promise<Map<string, Snapshot>> {
  const snapshots = new Map<string, Snapshot>();
  for (const node of lab.state().nodes) snapshots.set(node.name, await snapshotNetwork(node.netns));
  return snapshots;
}

/**
 * Waits until two looks at the nodes are the same (agents learn of each other a moment after they are ready) and
 * returns the last: what a node without pods is like. After 5 s it takes what there is.
 */
export async function settle(lab: Lab, signal?: AbortSignal): Promise<Map<string, Snapshot>> {
  const end = systemClock.now() + 5000;
  let last = await snapshotNodes(lab);
  for (;;) {
    await keepAlive(sleep(systemClock, millis(100), signal));
    const now = await snapshotNodes(lab);
    const same = [...now].every(([name, s]) => sameSnapshot(s, last.get(name) ?? new Map()));
    if (same || systemClock.now() > end) return now;
    last = now;
  }
}

/**
 * Waits until the first pod of every node can ping the first pod of every other one, over every family. Returns the
 * milliseconds it took, or undefined if that was not within 10 s.
 */
export async function waitForMesh(
  prober: Prober,
  pods: readonly Endpoint[],
  signal?: AbortSignal,
): Promise<number | undefined> {
  const start = systemClock.now();
  const firsts = pods.filter((p, i) => pods.findIndex((q) => q.node === p.node) === i);
  let missing = firsts.flatMap((from) =>
    firsts.filter((to) => to !== from).flatMap((to) => to.ips.map((ip) => ({ netns: from.netns, ip }))),
  );
  for (;;) {
    signal?.throwIfAborted();
    const tried = await Promise.all(
      missing.map(async (m) => ({ m, ok: (await prober.probe("icmp", m.netns, m.ip, { timeoutMs: 500 })).ok })),
    );
    missing = tried.filter((t) => !t.ok).map((t) => t.m);
    if (missing.length === 0) return systemClock.now() - start;
    if (systemClock.now() - start > 10_000) return undefined;
    await keepAlive(sleep(systemClock, millis(50), signal));
  }
}
