import { AGENT_REST, agentRole } from "./node/agent.ts";
import { runningVpp } from "./node/vpp.ts";
import type { Executables, LabPaths } from "./paths.ts";
import { isAlive } from "./process/proc.ts";
import type { LabState, Overlay } from "./state/state.ts";
import { storeRole } from "./stores/store.ts";

export interface PodStatus {
  readonly namespace: string;
  readonly name: string;
  /** Name under /var/run/netns. */
  readonly netns: string;
  /** Plain addresses, IPv4 first. */
  readonly ips: readonly string[];
}

export interface NodeStatus {
  readonly name: string;
  /** Name under /var/run/netns. */
  readonly netns: string;
  readonly dataplane: string;
  /** Plain addresses, IPv4 first. */
  readonly underlay: readonly string[];
  /** Path of the CNI plugin's executable. */
  readonly cniBin: string;
  /** Path of the conflist. */
  readonly cniConf: string;
  readonly cniSocket: string;
  /** URL inside the node's namespace. */
  readonly rest: string;
  /** null when it does not run. */
  readonly agentPid: number | null;
  /** null when there is none: on Linux nodes, or while it is started again. */
  readonly vppPid: number | null;
  readonly pods: readonly PodStatus[];
}

/** What `heddlectl lab status -o json` prints; the names are an interface that others read. */
export interface LabStatus {
  readonly id: string;
  readonly phase: string;
  readonly store: "etcd" | "embedded";
  readonly storeEndpoints: readonly string[];
  /** null when it does not run. */
  readonly storePid: number | null;
  readonly overlay: Overlay;
  readonly mtu: number;
  readonly nodes: readonly NodeStatus[];
}

export function labStatus(state: LabState, paths: LabPaths, executables: Executables): LabStatus {
  const pidOf = (role: string): number | null => {
    const id = state.processes.find((p) => p.role === role)?.id;
    return id && isAlive(id) ? id.pid : null;
  };
  return {
    id: state.id,
    phase: state.phase,
    store: state.store.kind,
    storeEndpoints: state.store.endpoints,
    storePid: pidOf(storeRole(state.store)),
    overlay: state.overlay,
    mtu: state.mtu,
    nodes: state.nodes.map((node) => ({
      name: node.name,
      netns: node.netns,
      dataplane: node.dataplane,
      underlay: node.underlay,
      cniBin: executables.cni,
      cniConf: paths.node(node.name).cniConf,
      cniSocket: paths.node(node.name).cniSocket,
      rest: `http://${AGENT_REST}`,
      agentPid: pidOf(agentRole(node.name)),
      vppPid: runningVpp(paths.node(node.name))?.pid ?? null,
      pods: state.pods
        .filter((p) => p.node === node.name)
        .map(({ namespace, name, netns, ips }) => ({ namespace, name, netns, ips })),
    })),
  };
}
