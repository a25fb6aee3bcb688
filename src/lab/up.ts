import { existsSync, mkdirSync } from "node:fs";
import { connect } from "node:net";
import { millis, sleep, systemClock } from "../base/clock/clock.ts";
import { LabError } from "./errors.ts";
import { Manifests } from "./kubernetes/manifests.ts";
import { KSR_REST, KSR_ROLE, ksrDaemon } from "./kubernetes/reflector.ts";
import { netnsName, newLabId } from "./names.ts";
import { podPools, underlayPlan } from "./net/plan.ts";
import { buildFabric, buildNode, likeACable } from "./net/underlay.ts";
import { AGENT_REST, agentDaemon, agentRole, nodeDataplane, writeNodeFiles } from "./node/agent.ts";
import { requireVpp } from "./node/vpp.ts";
import { type Executables, type LabPaths, which } from "./paths.ts";
import type { Prober } from "./probe/client.ts";
import { keepAlive } from "./process/daemon.ts";
import { launch, waitReady } from "./process/launch.ts";
import type { Ledger } from "./state/ledger.ts";
import type { DataplaneChoice, LabState, NodeRecord, Overlay, StoreChoice } from "./state/state.ts";
import { type ChosenStore, chooseStore, storeDaemon, storeRole } from "./stores/store.ts";

export interface UpOptions {
  /** The state directory; made if absent. */
  readonly dir: string;
  /** 1 to 200. */
  readonly nodes: number;
  readonly dataplane?: DataplaneChoice;
  /** `auto` (the default): etcd where it is installed, else embedded, and `progress` says so. */
  readonly store?: StoreChoice;
  readonly overlay?: Overlay;
  /** Start one agent after the other, so that node IDs, and with them the pods' addresses, are those of the names. */
  readonly inOrder?: boolean;
  /** Enforce NetworkPolicies, which a reflector takes from the lab's manifests; true if absent. */
  readonly policies?: boolean;
  /** Of the underlay; 1500 if absent. At least 1280, which IPv6 asks of every link (RFC 8200, section 5). */
  readonly mtu?: number;
  /** Milliseconds that each process gets to become ready; 60,000 if absent. */
  readonly readyTimeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Told what happens, a short line at a time. */
  readonly progress?: (line: string) => void;
  /** Six hex digits for the names of what is made; random if absent. For those who look before and after. */
  readonly id?: string;
  /** Replaces the programs that are run, in tests. */
  readonly executables?: Partial<Executables>;
}

const DEFAULT_READY_MS = 60_000;

/** Rejects what cannot work before anything is made. */
export function checkHost(executables: Executables): void {
  if (process.getuid?.() !== 0) throw new LabError("CANNOT_RUN", "the lab makes network namespaces: run it as root");
  for (const tool of ["ip", "nsenter", "sysctl", "ethtool"]) {
    if (which(tool) === undefined) {
      throw new LabError(
        "CANNOT_RUN",
        `${tool} was not found (Debian: apt-get install iproute2 util-linux procps ethtool)`,
      );
    }
  }
  for (const path of [executables.cni, executables.probe]) {
    if (which(path) === undefined) throw new LabError("CANNOT_RUN", `${path} is missing: npm run build makes it`);
  }
}

/** The state that `up` sets out to make. */
export function planLab(options: UpOptions, store: ChosenStore): LabState {
  const id = options.id ?? newLabId();
  const mtu = options.mtu ?? 1500;
  if (!Number.isInteger(mtu) || mtu < 1280 || mtu > 65_535) {
    throw new LabError("USAGE", `the underlay's MTU is 1280 to 65535, not ${mtu}`);
  }
  const policies = options.policies ?? true;
  underlayPlan.node(options.nodes); // rejects a number of nodes that there are no addresses for
  const nodes: NodeRecord[] = [];
  for (let i = 1; i <= options.nodes; i++) {
    const { v4, v6 } = underlayPlan.node(i);
    const name = `n${i}`;
    const dataplane = nodeDataplane(options.dataplane ?? "linux", i);
    nodes.push({ name, netns: netnsName.node(id, name), dataplane, underlay: [v4, v6] });
  }
  return {
    version: 1,
    id,
    createdAt: new Date().toISOString(),
    phase: "starting",
    madeDir: !existsSync(options.dir),
    overlay: options.overlay ?? "vxlan",
    policies,
    mtu,
    pools: podPools,
    store: store.record,
    namespaces: [netnsName.fabric(id), netnsName.outside(id), ...nodes.map((n) => n.netns)],
    processes: [
      { role: storeRole(store.record) },
      ...(policies ? [{ role: KSR_ROLE }] : []),
      ...nodes.map((n) => ({ role: agentRole(n.name) })),
    ],
    nodes,
    pods: [],
    nextPod: 1,
  };
}

/** Everything that `bringUp` needs beside the options. */
export interface UpDeps {
  readonly ledger: Ledger;
  readonly paths: LabPaths;
  readonly executables: Executables;
  /** Started when the first probe is needed. */
  readonly prober: () => Promise<Prober>;
}

/** Plans the lab and enters it in the ledger. After this, a failure needs {@link takeDown}. */
export async function enterLab(options: UpOptions, deps: UpDeps): Promise<ChosenStore> {
  checkHost(deps.executables);
  const store = chooseStore(options.store ?? "auto", deps.paths);
  const state = planLab(options, store);
  deps.paths.assertSocketsFit(state.nodes);
  if (state.nodes.some((n) => n.dataplane === "vpp")) requireVpp();
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  await deps.ledger.create(state);
  if (store.note !== undefined) options.progress?.(store.note);
  return store;
}

/** Builds what the ledger plans. */
export async function bringUp(options: UpOptions, store: ChosenStore, deps: UpDeps): Promise<void> {
  const { ledger, paths, executables } = deps;
  const { signal, progress = () => {} } = options;
  const state = ledger.read();
  const fabric = netnsName.fabric(state.id);
  const timeoutMs = options.readyTimeoutMs ?? DEFAULT_READY_MS;

  progress(`underlay: ${state.nodes.length} nodes on ${underlayPlan.v4.network} and ${underlayPlan.v6.network}`);
  await buildFabric(fabric, netnsName.outside(state.id), state.mtu, { signal });
  for (const [i, node] of state.nodes.entries()) {
    await buildNode(fabric, { ...node, index: i + 1 }, state.mtu, { signal });
    if (node.dataplane === "vpp") await likeACable(fabric, node.name, { signal });
  }

  progress(`store: ${state.store.kind} at ${state.store.endpoints.join(", ")}`);
  const storeProcess = await launch(ledger, storeDaemon(state.id, store, paths, fabric, executables));
  await waitReady(storeProcess, {
    what: `the ${state.store.kind} store`,
    logFile: paths.storeLog,
    check: () => storeAnswers(state, fabric, deps),
    timeoutMs,
    signal,
  });

  if (state.policies) await startReflector(state, fabric, deps, { signal, timeoutMs });
  await Promise.all(state.nodes.map((node) => underlayInForce(node, deps, signal)));
  for (const node of state.nodes) writeNodeFiles(state, node, paths.node(node.name));
  progress(`agents: starting ${state.nodes.map((n) => `${n.name} (${n.dataplane})`).join(", ")}`);
  const start = (node: NodeRecord) => startAgent(state, node, deps, { signal, timeoutMs });
  if (options.inOrder) for (const node of state.nodes) await start(node);
  const started = options.inOrder ? [] : state.nodes.map(start);
  // All are waited for, also when one has failed: none may still be starting while the rest is being removed.
  const failed = (await Promise.allSettled(started)).find((r) => r.status === "rejected");
  if (failed) throw failed.reason;
  signal?.throwIfAborted();
  await ledger.update((s) => ({ ...s, phase: "up" }));
}

/** The kernel tells IPv6 of a new link's carrier up to a second late (linkwatch); before that, nothing gets through. */
async function underlayInForce(node: NodeRecord, deps: UpDeps, signal?: AbortSignal): Promise<void> {
  const prober = await deps.prober();
  const end = systemClock.now() + 10_000;
  for (const address of [underlayPlan.router.v4, underlayPlan.router.v6]) {
    for (;;) {
      signal?.throwIfAborted();
      const { ok } = await prober.probe("icmp", node.netns, address, { timeoutMs: 100 });
      if (ok) break;
      if (systemClock.now() > end) {
        throw new LabError("NOT_READY", `${node.name} does not reach ${address} on the underlay`);
      }
      await keepAlive(sleep(systemClock, millis(10), signal)); // a refusal comes back at once
    }
  }
}

async function storeAnswers(state: LabState, fabric: string, deps: UpDeps): Promise<boolean> {
  const [endpoint = ""] = state.store.endpoints;
  if (state.store.kind === "etcd") {
    const { status, body } = await (await deps.prober()).get(fabric, `${endpoint}/health`);
    return status === 200 && (JSON.parse(body) as { health?: string }).health === "true";
  }
  return new Promise((resolve) => {
    const socket = connect(endpoint);
    socket.on("connect", () => resolve(socket.destroy() !== undefined));
    socket.on("error", () => resolve(false));
  });
}

/** Starts what follows the lab's manifests, and waits until it says that it is ready. */
async function startReflector(
  state: LabState,
  fabric: string,
  { ledger, paths, executables, prober }: UpDeps,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs: number },
): Promise<void> {
  const manifests = new Manifests(paths.manifests);
  manifests.prepare();
  for (const { name, underlay } of state.nodes) manifests.putNode(name, underlay);
  const ksr = await launch(ledger, ksrDaemon(state, fabric, paths, executables));
  const probes = await prober();
  await waitReady(ksr, {
    what: "the reflector",
    logFile: paths.ksrLog,
    check: async () => (await probes.get(fabric, `http://${KSR_REST}/readyz`)).status === 200,
    ...options,
  });
}

/** Starts a node's agent and waits until it says that it is ready. */
export async function startAgent(
  state: LabState,
  node: NodeRecord,
  deps: UpDeps,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
): Promise<void> {
  const paths = deps.paths.node(node.name);
  const prober = await deps.prober();
  const agent = await launch(deps.ledger, agentDaemon(state.id, node, paths, deps.executables));
  await waitReady(agent, {
    what: `the agent of ${node.name}`,
    logFile: paths.log,
    check: async () => (await prober.get(node.netns, `http://${AGENT_REST}/readyz`)).status === 200,
    timeoutMs: options.timeoutMs ?? DEFAULT_READY_MS,
    signal: options.signal,
  });
}
