import { netnsName } from "../names.ts";
import { likeACable } from "../net/underlay.ts";
import { stopProcesses } from "../process/daemon.ts";
import { recorded } from "../process/launch.ts";
import { type NodeRecord, withNode } from "../state/state.ts";
import { startAgent, type UpDeps } from "../up.ts";
import { agentRole, writeNodeFiles } from "./agent.ts";
import { requireVpp } from "./vpp.ts";

/**
 * Gives a node the dataplane that its record asks for. What forwards goes on until the new agent replaces it. Can be
 * repeated after a failure at any point.
 */
export async function switchDataplane(
  node: NodeRecord,
  deps: UpDeps,
  options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number },
): Promise<void> {
  const { ledger, paths } = deps;
  if (node.dataplane === "vpp") {
    requireVpp();
    paths.assertSocketsFit([node]);
    await likeACable(netnsName.fabric(ledger.read().id), node.name, options);
  }
  const agent = recorded(ledger, agentRole(node.name));
  if (agent) await stopProcesses([agent]);
  const state = await ledger.update((s) => withNode(s, node));
  writeNodeFiles(state, node, paths.node(node.name));
  await startAgent(state, node, deps, options);
}
