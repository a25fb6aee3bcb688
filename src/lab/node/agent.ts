import { mkdirSync } from "node:fs";
import { stringify } from "yaml";
import { LabError } from "../errors.ts";
import { storeSection } from "../kubernetes/reflector.ts";
import type { Executables, NodePaths } from "../paths.ts";
import type { DaemonSpec } from "../process/daemon.ts";
import { writeAtomically } from "../state/ledger.ts";
import type { LabState, NodeRecord } from "../state/state.ts";

/** The agent listens there inside its node's namespace, so every node has the same. */
export const AGENT_REST = "127.0.0.1:9191";

export const agentRole = (node: string): string => `agent-${node}`;

/** The agent's configuration for one node of the lab. */
export function agentConfig(state: LabState, node: NodeRecord, paths: NodePaths): Record<string, unknown> {
  const { store } = state;
  return {
    nodeName: node.name,
    dataplane: node.dataplane,
    stateDir: paths.stateDir,
    runDir: paths.runDir,
    rest: AGENT_REST,
    log: { level: "info" },
    store: storeSection(store),
    policy: { enforce: state.policies },
    services: { enabled: state.policies },
    network: { pools: state.pools, overlay: state.overlay, nodeIPs: node.underlay },
  };
}

/** The CNI configuration list that a container runtime on this node would find in /etc/cni/net.d. */
export function conflist(paths: NodePaths): Record<string, unknown> {
  return {
    cniVersion: "1.1.0",
    name: "heddle",
    plugins: [
      {
        type: "heddle",
        cniSocket: paths.cniSocket,
        capabilities: {
          portMappings: true,
          bandwidth: true,
          ips: true,
          mac: true,
          "io.kubernetes.cri.pod-annotations": true,
        },
      },
    ],
  };
}

/** Writes a node's files. */
export function writeNodeFiles(state: LabState, node: NodeRecord, paths: NodePaths): void {
  for (const dir of [paths.stateDir, paths.runDir, paths.cniCache]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeAtomically(paths.config, stringify(agentConfig(state, node, paths)));
  writeAtomically(paths.cniConf, `${JSON.stringify(conflist(paths), null, 2)}\n`);
}

export function agentDaemon(labId: string, node: NodeRecord, paths: NodePaths, executables: Executables): DaemonSpec {
  return {
    labId,
    role: agentRole(node.name),
    netns: node.netns,
    argv: [...executables.agent, "--config", paths.config],
    logFile: paths.log,
  };
}

/** What a node's dataplane is: with `mixed`, every other node has VPP. `index` counts from 1. */
export function nodeDataplane(choice: string, index: number): "linux" | "vpp" {
  if (choice === "linux" || choice === "vpp") return choice;
  if (choice === "mixed") return index % 2 === 1 ? "linux" : "vpp";
  throw new LabError("USAGE", `"${choice}" is no dataplane: linux, vpp or mixed`);
}

/** The parts of an agent's `GET /status` that the lab looks at. */
export interface AgentStatus {
  readonly dataplane?: {
    readonly name?: string;
    /** Of a VPP: its process, and whether the agent is connected to it (`ready`). */
    readonly vppPid?: number;
    readonly connection?: string;
  };
  readonly store?: { readonly kind?: string };
}
