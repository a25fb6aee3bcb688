import { statSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { ECHO_PORT } from "../../../src/lab/probe/client.ts";
import { atMost, type Figure, ratioAtMost, type Target } from "../../figure.ts";
import type { AgentNode, TxnRecord } from "../../rig/agent-node.ts";
import { type WiredPod, Wiring } from "../../rig/wired.ts";
import { median, quantile, rounded, spread } from "../../stats.ts";
import { alternating, type Case, type CaseContext } from "../case.ts";

const WARM_UP = 20;
const RESYNCED = 100;
const IN_SYNC = 500;
const AT_ONCE = 50;
const POLL_MS = 5;
/** A node's history is long, and reading it is work for the agent that is measured. */
const HISTORY_POLL_MS = 500;
const PERIOD_SECONDS = 1;
const PROBED_AT_ONCE = 20;

const ADD = "CNI ADD p50 on VPP";
const AGAIN = `${RESYNCED} pods resynced after a restart of VPP`;
const SAME = `full resync with ${IN_SYNC} pods in sync on VPP`;

/** There is no VPP on this machine. */
const notCompared = (name: string, target: Target): Figure => ({
  name,
  unit: "ms",
  value: Number.NaN,
  target,
  samples: 0,
});

/** What an ADD costs on VPP, interleaved with one on the Linux dataplane. */
export const vppAdd: Case = {
  name: "vpp-add",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const nodes = await rig.vpp();
    if (!nodes) return [notCompared(ADD, ratioAtMost(1.5))];
    const count = quick ? 20 : 200;
    progress(`${count} ADDs and DELs on VPP, interleaved with the Linux dataplane`);
    const sides = [nodes[0], rig.first].map((node) => ({
      wiring: new Wiring(node.launcher, node.plugin),
      adds: [] as number[],
      dels: [] as number[],
    }));
    const [vpp, linux] = sides as [(typeof sides)[number], (typeof sides)[number]];
    const names = await rig.pods.make(2 * (count + WARM_UP));
    const left = names.values();
    for (let i = -WARM_UP; i < count; i++) {
      const once = (side: typeof vpp) => async () => {
        const { pods, executions } = await side.wiring.add([left.next().value ?? ""]);
        const ends = await side.wiring.delete(pods);
        if (i < 0) return;
        side.adds.push(...executions.map(({ ms }) => ms));
        side.dels.push(...ends.map(({ ms }) => ms));
      };
      await alternating(i, once(vpp), once(linux));
    }
    await rig.pods.drop(names);
    const ofDel = `${rounded(median(vpp.dels))} ms, Linux ${rounded(median(linux.dels))} ms`;
    return [
      {
        name: ADD,
        unit: "ms",
        value: median(vpp.adds),
        peer: { name: "Linux dataplane", value: median(linux.adds) },
        target: ratioAtMost(1.5),
        samples: vpp.adds.length,
        wrong: [...vpp.wiring.wrong, ...linux.wiring.wrong],
        notes: {
          "middle half, VPP": spread(vpp.adds),
          "middle half, Linux": spread(linux.adds),
          "p99, VPP": rounded(quantile(vpp.adds, 0.99)),
          "DEL p50": ofDel,
        },
      },
    ];
  },
};

/** How long pods are without VPP after it was killed. From its API socket, which is there when VPP answers. */
export const vppResync: Case = {
  name: "vpp-resync",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const nodes = await rig.vpp();
    if (!nodes) return [notCompared(AGAIN, atMost(1000))];
    const [node] = nodes;
    const pods = await filled(node, rig, RESYNCED);
    const count = quick ? 2 : 9;
    const resyncs: number[] = [];
    const reached: number[] = [];
    for (let i = 0; i < count; i++) {
      progress(`${RESYNCED} pods, VPP killed ${i + 1} of ${count} times`);
      const { socketAt, reachedAt, txn } = await killVpp(node, rig, pods);
      resyncs.push(txn.endedAt - socketAt);
      reached.push(reachedAt - socketAt);
    }
    await pods.remove();
    return [
      {
        name: AGAIN,
        unit: "ms",
        value: median(resyncs),
        target: atMost(1000),
        samples: count,
        wrong: pods.wiring.wrong,
        notes: {
          "from VPP's socket to the end of the resync": resyncs.map(rounded).join(" "),
          "until the last pod was reached": reached.map(rounded).join(" "),
        },
      },
    ];
  },
};

/** What a comparison of everything costs when nothing differs. */
export const vppInSync: Case = {
  name: "vpp-in-sync",
  async run({ rig, quick, progress }: CaseContext): Promise<Figure[]> {
    const nodes = await rig.vpp();
    if (!nodes) return [notCompared(SAME, atMost(200))];
    const [, node] = nodes;
    const count = quick ? 3 : 15;
    progress(`${IN_SYNC} pods on VPP`);
    // VPP gets its buffers for so many pods when it starts.
    await restart(node, { vpp: { maxPods: IN_SYNC } });
    const pods = await filled(node, rig, IN_SYNC);
    progress(`${count} full resyncs`);
    const from = Date.now();
    await node.kill();
    node.configure({ vpp: { maxPods: IN_SYNC }, healing: { periodSeconds: PERIOD_SECONDS } });
    await node.start();
    // Who asks meanwhile takes the CPU from what is measured.
    await setTimeout((count + 1) * 1000 * PERIOD_SECONDS);
    const [first, ...later] = await resyncsSince(node, from, count + 1);
    const all = [first, ...later].flatMap((txn) => txn ?? []);
    for (const { seq, executed } of all) {
      for (const { op, key } of executed.filter((o) => o.noop !== true)) {
        pods.wiring.wrong.push(`resync ${seq} did ${op} ${key}`);
      }
    }
    await node.kill();
    node.configure({ vpp: { maxPods: IN_SYNC } });
    await node.start();
    await pods.remove();
    const times = later.map(durationOf);
    return [
      {
        name: SAME,
        unit: "ms",
        value: median(times),
        target: atMost(200),
        samples: times.length,
        wrong: pods.wiring.wrong.slice(0, 10),
        notes: {
          each: times.map(rounded).join(" "),
          "by an agent that has just begun": first ? durationOf(first) : "-",
        },
      },
    ];
  },
};

const durationOf = ({ startedAt, endedAt }: TxnRecord): number => endedAt - startedAt;

type Rig = CaseContext["rig"];

interface Filled {
  readonly pods: readonly WiredPod[];
  readonly wiring: Wiring;
  remove(): Promise<void>;
}

/** A node with pods, all of which answered. */
async function filled(node: AgentNode, rig: Rig, count: number): Promise<Filled> {
  const wiring = new Wiring(node.launcher, node.plugin);
  const names = await rig.pods.make(count);
  const pods: WiredPod[] = [];
  for (let i = 0; i < count; i += AT_ONCE) pods.push(...(await wiring.add(names.slice(i, i + AT_ONCE))).pods);
  const remove = async () => {
    for (let i = 0; i < count; i += AT_ONCE) await wiring.delete(pods.slice(i, i + AT_ONCE));
    await rig.pods.drop(names);
  };
  return { pods, wiring, remove };
}

/** Ends VPP as a crash would, and waits until all pods answer again on all their addresses. */
async function killVpp(node: AgentNode, rig: Rig, { pods, wiring }: Filled) {
  const old = node.vppPid();
  if (old !== undefined) process.kill(old, "SIGKILL");
  await until(() => node.vppPid() !== undefined && node.vppPid() !== old);
  const missing = new Set(pods.flatMap(({ ips }) => ips));
  const look = async (address: string) => {
    const answer = await rig.prober.probe("tcp", node.netns, address, { port: ECHO_PORT, timeoutMs: 50 });
    if (answer.ok) missing.delete(address);
  };
  await until(async () => {
    // Side by side, or to look would take longer than what is looked for.
    await Promise.all([...missing].slice(0, PROBED_AT_ONCE).map(look));
    return missing.size === 0;
  });
  const reachedAt = Date.now();
  const socketAt = Math.floor(statSync(node.vpp.api).ctimeMs);
  // There may be one before, which finds that there is no VPP.
  const [txn] = await resyncsSince(node, socketAt, 1);
  if (!txn) throw new Error("no resync is in the history");
  if (txn.executed.length < pods.length) wiring.wrong.push(`the resync did ${txn.executed.length} operations only`);
  return { socketAt, reachedAt, txn };
}

async function restart(node: AgentNode, config: Readonly<Record<string, unknown>>): Promise<void> {
  await node.kill();
  const vpp = node.vppPid();
  node.configure(config);
  if (vpp !== undefined) process.kill(vpp, "SIGKILL");
  await until(() => node.vppPid() === undefined);
  await node.start();
}

async function resyncsSince(node: AgentNode, since: number, count: number): Promise<readonly TxnRecord[]> {
  let found: readonly TxnRecord[] = [];
  await until(async () => {
    found = (await node.history(since)).filter(({ resync }) => resync !== undefined);
    return found.length >= count;
  }, HISTORY_POLL_MS);
  return found.slice(0, count);
}

async function until(condition: () => boolean | Promise<boolean>, pollMs = POLL_MS, withinMs = 60_000): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms`);
    await setTimeout(pollMs);
  }
}
