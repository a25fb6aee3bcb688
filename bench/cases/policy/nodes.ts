import type { AgentNode } from "../../rig/agent-node.ts";
import type { Rig } from "../../rig/rig.ts";

/** A node of each dataplane; undefined for one that is not installed. */
export async function nodesByDataplane(
  rig: Rig,
): Promise<readonly (readonly ["Linux" | "VPP", AgentNode | undefined])[]> {
  return [
    ["Linux", rig.first],
    ["VPP", (await rig.vpp())?.[0]],
  ];
}
