import type { LinkValue } from "../../../models/linux.ts";
import type { Namespaces, Netlink } from "../namespace/namespaces.ts";
import { linkSet } from "../netlink/link-requests.ts";
import type { LinkMetadata } from "./metadata.ts";
import { setPodSends, setSegments } from "./segments.ts";
import { setUp, setUpVeth } from "./set-up.ts";
import { changeTap } from "./tap.ts";

/**
 * Whether a link can be changed as it stands: addresses, MTU, segments and state are attributes, anything else makes
 * another link. What lies on it stays then, and so do the connections through it.
 */
export function canChange(before: LinkValue, after: LinkValue): boolean {
  return identity(before) === identity(after);
}

function identity(link: LinkValue): string {
  switch (link.kind) {
    case "veth":
      return JSON.stringify([link.kind, link.name, link.pod.netns, link.pod.netnsId, link.pod.ifName]);
    case "tap":
      return JSON.stringify([link.kind, link.pod.netns, link.pod.netnsId, link.pod.ifName]);
    case "vxlan":
      return JSON.stringify([link.kind, link.name, link.vni, link.port, link.local]);
    case "ifb":
    case "foreign":
      return JSON.stringify([link.kind, link.name]);
  }
}

/** Brings a link that {@link canChange} from what it is to what it shall be, which is up. */
export async function changeLink(
  namespaces: Namespaces,
  before: LinkValue,
  after: LinkValue,
  metadata: LinkMetadata,
): Promise<void> {
  if (before.kind === "foreign" || after.kind === "foreign") {
    throw new Error(`link ${after.name} is not ours to change`);
  }
  if (before.kind === "tap" && after.kind === "tap") return changeTap(namespaces, before, after);
  if (before.kind === "tap" || after.kind === "tap") throw new Error(`${after.name} is another kind of link`);
  const { node } = namespaces;
  const { nodeIndex: index } = metadata;
  if (index === undefined) throw new Error(`the node's end of ${after.name} is not known`);
  await setAttributes(node, index, before, after);
  if (before.kind !== "veth" || after.kind !== "veth") {
    if (before.state !== after.state) await setUp(node, { index });
    return;
  }
  const { pod } = metadata;
  if (!pod) throw new Error(`the pod's end of ${after.name} is not known`);
  await namespaces.in(pod.netns, async (inPod) => {
    // Its MTU may have been changed by a later plugin of the chain, and is left so.
    await setAttributes(inPod, pod.index, { mac: before.pod.mac }, { mac: after.pod.mac });
    if (before.segments !== after.segments) await setSegments(after, after.segments);
    if (before.podSends !== after.podSends) await setPodSends(after, after.podSends);
    if (before.state !== after.state) await setUpVeth(node, inPod, after, { index: pod.index });
  });
}

interface Attributes {
  readonly mac?: string;
  readonly mtu?: number;
}

async function setAttributes(netlink: Netlink, index: number, before: Attributes, after: Attributes): Promise<void> {
  const change = {
    ...(after.mac === undefined || after.mac === before.mac ? {} : { address: after.mac }),
    ...(after.mtu === undefined || after.mtu === before.mtu ? {} : { mtu: after.mtu }),
  };
  if (Object.keys(change).length > 0) await netlink.request(linkSet({ index }, change));
}
