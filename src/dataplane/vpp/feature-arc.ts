import { inBursts } from "../../base/queue/bursts.ts";
import type { ReadContext } from "./session/readings.ts";
import type { VppNames, VppTarget } from "./target.ts";

/** The last node of each arc, which is no feature of any interface. */
const ENDS = {
  "ip4-output": "interface-output",
  "ip4-unicast": "ip4-lookup",
  "ip6-output": "interface-output",
  "ip6-unicast": "ip6-lookup",
} as const;

/** A node that packets of an interface pass where it is enabled as a feature. VPP stacks it once more when it is told twice. */
export interface ArcNode {
  readonly arc_name: keyof typeof ENDS;
  readonly feature_name: string;
}

/** Questions under way at a time. */
const BURST = 128;

const isEnabledAt = async (
  { api }: VppNames,
  { arc_name, feature_name }: ArcNode,
  sw_if_index: number,
  signal: AbortSignal,
): Promise<boolean> =>
  (await api.request("feature_is_enabled", { arc_name, feature_name, sw_if_index }, { signal })).is_enabled;

const endOf = ({ arc_name }: ArcNode): ArcNode => ({ arc_name, feature_name: ENDS[arc_name] });

/**
 * Whether the node is enabled on the interface. Of an interface with a higher number than any that ever had a feature on the arc
 * VPP says yes to everything (its error is taken for true), so also to the arc's end. It says yes as well to a node that it
 * doesn't have.
 */
export async function isEnabledOn(
  vpp: VppNames,
  node: ArcNode,
  sw_if_index: number,
  signal: AbortSignal,
): Promise<boolean> {
  // In this order: should somebody enable the first feature on the arc in between, both answers are no.
  const [isBeyond, isEnabled] = await Promise.all([
    isEnabledAt(vpp, endOf(node), sw_if_index, signal),
    isEnabledAt(vpp, node, sw_if_index, signal),
  ]);
  return isEnabled && !isBeyond;
}

/** The numbers of our interfaces that have the node enabled. There is no dump. */
export async function allWith(vpp: VppTarget, node: ArcNode, ctx: ReadContext): Promise<ReadonlySet<number>> {
  const { signal } = ctx;
  const interfaces = await vpp.interfaces(ctx);
  const indices = interfaces.map((d) => d.sw_if_index).filter((index) => vpp.nameOf(index) !== undefined);
  // The highest number tells whether there is any beyond.
  const isOneBeyond = await isEnabledAt(vpp, endOf(node), Math.max(0, ...indices), signal);
  const isEnabled = isOneBeyond ? isEnabledOn : isEnabledAt;
  const answers = await inBursts(BURST, indices, (index) => isEnabled(vpp, node, index, signal));
  return new Set(indices.filter((_, i) => answers[i]));
}
