import { resolve } from "node:path";
import { fullMessage } from "../../base/errors/errors.ts";
import { type DownResult, netnsInodes } from "../down.ts";
import { LabError } from "../errors.ts";
import { Lab } from "../lab.ts";
import { netnsName, newLabId } from "../names.ts";
import { ipJson } from "../net/ip.ts";
import { underlayPlan } from "../net/plan.ts";
import type { PodRecord } from "../state/state.ts";
import type { UpOptions } from "../up.ts";
import { type Cell, type CellResult, type Endpoint, expectWrong, planCells } from "./cells.ts";
import { breakRoute, type Faults, leaveNamespace } from "./faults.ts";
import { type LabIdentity, snapshotHost } from "./host-snapshot.ts";
import { cellReport, type DemoReport } from "./report.ts";
import { runCells } from "./run-cells.ts";
import { settle, snapshotNodes, waitForMesh } from "./settle.ts";
import { differences, formatDifference, type Snapshot } from "./snapshot.ts";

export interface DemoOptions extends Omit<UpOptions, "id"> {
  /** Pods on each node. */
  readonly pods: number;
  /** Leave the lab up. */
  readonly keep?: boolean;
  readonly faults?: Faults;
}

/** Kubernetes namespace of the demo's pods. */
export const DEMO_NAMESPACE = "demo";

interface Collected {
  dataplane: string;
  store: string;
  pods: { record: PodRecord; addMs: number }[];
  results: CellResult[];
  /** Sentences about what failed that is neither a cell nor a thing left. */
  failures: string[];
  left: string[];
  removed: boolean;
}

/**
 * Builds a lab, creates pods, tries everything that should work between them, takes it all away and looks for what is
 * left. Resolves with what it found, good or bad; rejects only if it could not be tried (or was interrupted), and has
 * removed the lab then.
 */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const started = performance.now();
  const progress = options.progress ?? (() => {});
  const id = newLabId();
  const nodes = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
  const found: Collected = {
    dataplane: "?",
    store: "?",
    pods: [],
    results: [],
    failures: [],
    left: [],
    removed: false,
  };

  let identity: LabIdentity = { id, dir: resolve(options.dir), inodes: new Map() };
  const before = await snapshotHost(identity);
  const lab = await Lab.up({ ...options, id });
  try {
    const prober = await lab.prober();
    identity = { ...identity, inodes: netnsInodes(lab.state().namespaces) };
    await askAgents(lab, found);
    progress(`agents are ready: dataplane ${found.dataplane}, store ${found.store}`);
    const clean = await settle(lab, options.signal);
    await addPods(lab, options, found);
    const endpoints = describe(lab, found);
    for (const e of [...endpoints.pods, ...endpoints.nodes, endpoints.outside]) await prober.serve(e.netns);
    const cells = await prepareCells(lab, endpoints, options, found);
    progress(`trying ${cells.length} cells`);
    found.results = await runCells(prober, cells, { signal: options.signal });
    if (options.faults?.leaveNamespace) await leaveNamespace(id);
    if (options.keep) {
      await lab.close();
    } else {
      progress("CNI DEL for every pod");
      for (const e of endpoints.pods) await prober.unserve(e.netns);
      found.left.push(...(await deletePods(lab, found, clean)));
    }
  } catch (e) {
    await lab.down();
    throw e;
  }
  if (!options.keep) {
    progress("removing the lab");
    found.left.push(...leftOfLab(await lab.down()));
    found.removed = true;
    found.left.push(...differences("this machine", before, await snapshotHost(identity)).map(formatDifference));
  }
  return reportOf(found, nodes, (performance.now() - started) / 1000);
}

const leftOfLab = (down: DownResult): string[] => down.left.map((what) => `this machine: ${what}`);

function reportOf(found: Collected, nodes: readonly string[], seconds: number): DemoReport {
  const cells = found.results.map(cellReport);
  const wrong = cells.filter((c) => !c.ok).map((c) => `${c.id}: ${c.wrong}`);
  const problems = [...wrong, ...found.failures, ...found.left];
  return {
    ok: problems.length === 0,
    dataplane: found.dataplane,
    store: found.store,
    nodes,
    pods: found.pods.map(({ record, addMs }) => ({ name: record.name, node: record.node, ips: record.ips, addMs })),
    cells,
    problems,
    left: found.left,
    removed: found.removed,
    seconds,
  };
}

/** What really runs, in the agents' own words; other than what was asked for is a failure. */
async function askAgents(lab: Lab, found: Collected): Promise<void> {
  const state = lab.state();
  const dataplanes = new Set<string>();
  const stores = new Set<string>();
  for (const node of state.nodes) {
    const { dataplane, store } = await lab.agentStatus(node.name);
    const [kind = "unknown"] = (store?.kind ?? "unknown").split(" "); // "etcd http://…": the kind, then where
    dataplanes.add(dataplane?.name ?? "unknown");
    stores.add(kind);
    if (dataplane?.name !== node.dataplane) {
      found.failures.push(`${node.name}: runs dataplane ${dataplane?.name ?? "unknown"}, asked for ${node.dataplane}`);
    }
    if (kind !== state.store.kind) {
      found.failures.push(`${node.name}: uses store ${kind}, asked for ${state.store.kind}`);
    }
  }
  found.dataplane = [...dataplanes].join(" + ");
  found.store = [...stores].join(" + ");
}

async function addPods(lab: Lab, options: DemoOptions, found: Collected): Promise<void> {
  for (const node of lab.state().nodes) {
    for (let i = 1; i <= options.pods; i++) {
      const name = { namespace: DEMO_NAMESPACE, name: `${node.name}-p${i}` };
      const { record, addMs } = await lab.pods.addTimed(name, node.name, { signal: options.signal });
      found.pods.push({ record, addMs });
      options.progress?.(`pod ${record.name}: ${record.ips.join(", ")} (CNI ADD ${addMs.toFixed(1)} ms)`);
    }
  }
}

interface Endpoints {
  readonly pods: readonly Endpoint[];
  readonly nodes: readonly Endpoint[];
  readonly outside: Endpoint;
}

function describe(lab: Lab, found: Collected): Endpoints {
  const state = lab.state();
  return {
    pods: found.pods.map(({ record: p }) => ({ kind: "pod", name: p.name, node: p.node, netns: p.netns, ips: p.ips })),
    nodes: state.nodes.map((n) => ({ kind: "node", name: n.name, node: n.name, netns: n.netns, ips: n.underlay })),
    outside: {
      kind: "outside",
      name: "outside",
      netns: netnsName.outside(state.id),
      ips: [underlayPlan.outside.v4, underlayPlan.outside.v6],
    },
  };
}

async function prepareCells(lab: Lab, endpoints: Endpoints, options: DemoOptions, found: Collected): Promise<Cell[]> {
  const { pods, nodes, outside } = endpoints;
  const faults = options.faults ?? {};
  let cells = planCells(pods, nodes, outside);
  if (faults.expectWrong !== undefined) {
    const changed = expectWrong(cells, faults.expectWrong);
    if (!changed) throw new LabError("USAGE", `there is no cell ${faults.expectWrong}; one is ${cells[0]?.id}`);
    cells = changed;
  }
  const waited = await waitForMesh(await lab.prober(), pods, options.signal);
  if (waited === undefined) found.failures.push("the nodes did not learn of each other within 10 s");
  if (faults.breakRoute !== undefined) {
    for (const what of await breakRoute(faults.breakRoute, pods, lab)) options.progress?.(`removed the route ${what}`);
  }
  return cells;
}

/** DEL for all, then what is left in the pods and on the nodes. */
async function deletePods(lab: Lab, found: Collected, clean: ReadonlyMap<string, Snapshot>): Promise<string[]> {
  const left: string[] = [];
  for (const { record } of found.pods) {
    try {
      await lab.pods.unwire(record);
    } catch (e) {
      found.failures.push(`${record.name}: ${fullMessage(e)}`);
    }
  }
  for (const { record } of found.pods) {
    for (const link of await ipJson(record.netns, ["link", "show"])) {
      if (link["ifname"] !== "lo") left.push(`pod ${record.name}: link ${String(link["ifname"])} is left behind`);
    }
  }
  for (const [node, now] of await snapshotNodes(lab)) {
    left.push(...differences(`node ${node}`, clean.get(node) ?? new Map(), now).map(formatDifference));
  }
  return left;
}
