import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  type Difference,
  differences,
  formatDifference,
  type Snapshot,
  snapshotNetwork,
} from "../../src/lab/demo/snapshot.ts";
import { inNetns, ipJson, listNetns } from "../../src/lab/net/ip.ts";
import { execOk } from "../../src/lab/process/exec.ts";
import type { AgentNode, TestPod } from "./agent-node.ts";

// Journals of databases come and go with their writers.
const COMES_AND_GOES = /(-wal|-shm|-journal)$|^(copy-.*|agent\.log|trace)$/;

function filesBelow(dir: string, at = ""): string[] {
  return readdirSync(join(dir, at), { withFileTypes: true }).flatMap((entry) => {
    if (COMES_AND_GOES.test(entry.name)) return [];
    const path = join(at, entry.name);
    return entry.isDirectory() ? [path, ...filesBelow(dir, path)] : [path];
  });
}

/** Disciplines and filters: what shaping consists of. */
async function trafficControl(netns: string): Promise<string[]> {
  const tc = (...args: readonly string[]) => execOk([...inNetns(netns), "tc", ...args]);
  const qdiscs = (await tc("qdisc", "show")).split("\n").filter((line) => / dev hd/.test(line));
  const shaped = qdiscs.flatMap((line) => / ingress .* dev (hd\w+)| dev (hd\w+) .*ingress/.exec(line)?.slice(1) ?? []);
  const filters = await Promise.all(
    shaped.filter((dev) => dev).map(async (dev) => `${dev} ${await tc("filter", "show", "dev", dev, "ingress")}`),
  );
  // Numbers of links and of actions are given out anew with every creation.
  return [...qdiscs, ...filters.flatMap((text) => text.split("\n"))]
    .map((line) => line.trim().replace(/index \d+ ref \d+ bind \d+/, ""))
    .filter((line) => line !== "");
}

/** Links as they stand, not only their names. */
async function linkStates(netns: string): Promise<string[]> {
  const links = await ipJson(netns, ["link", "show"]);
  return links
    .filter((l) => l["ifname"] !== "lo")
    .map((l) => {
      const flags = (l["flags"] as string[]).toSorted().join(",");
      // The kernel thinks up an IFB's address; nobody ever uses it.
      const address = String(l["ifname"]).startsWith("hdi") ? "" : l["address"];
      return [l["ifname"], flags, `mtu ${String(l["mtu"])}`, l["operstate"], address, l["group"]].join(" ");
    });
}

/**
 * Everything that pods leave traces in: the node's kernel state with links' states and traffic control, the agent's
 * status, items and records, files, namespaces, and the insides of `pods`. The agent must be running.
 */
export async function wholeState(node: AgentNode, pods: readonly TestPod[] = []): Promise<Snapshot> {
  const [base, states, tc, ...insides] = await Promise.all([
    node.snapshot(),
    linkStates(node.netns),
    trafficControl(node.netns),
    ...pods.map((pod) => insideOf(pod)),
  ]);
  return new Map<string, ReadonlySet<string>>([
    ...base,
    ["link state", new Set(states)],
    ["traffic control", new Set(tc)],
    // The history begins a new file whenever one is full, and drops the oldest: its own tests see to that bound.
    ["file", new Set(filesBelow(node.dir).filter((file) => !file.startsWith("state/history/")))],
    ["namespace", new Set(listNetns().filter((name) => name.startsWith(node.id)))],
    ...insides.flat(),
  ]);
}

async function insideOf(pod: TestPod): Promise<[string, ReadonlySet<string>][]> {
  const [network, states] = await Promise.all([snapshotNetwork(pod.netns), linkStates(pod.netns)]);
  return [
    ...[...network].map(([kind, things]): [string, ReadonlySet<string>] => [`${kind} in ${pod.netns}`, things]),
    [`link state in ${pod.netns}`, new Set(states)],
  ];
}

/** In words, for `expect(…).toEqual([])`. */
export const inWords = (found: readonly Difference[]): string[] => found.map(formatDifference);

/** What is otherwise than in `before`, in words. */
export async function changesSince(
  before: Snapshot,
  node: AgentNode,
  pods: readonly TestPod[] = [],
): Promise<string[]> {
  return inWords(differences("node", before, await wholeState(node, pods)));
}
