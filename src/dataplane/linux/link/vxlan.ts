import type { VxlanValue } from "../../../models/linux.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { type Link, LinkFlag } from "../netlink/link.ts";
import { linkAdd, linkDelete, linkGet } from "../netlink/link-requests.ts";
import type { LinkMetadata } from "./metadata.ts";
import { setUp } from "./set-up.ts";

/**
 * The overlay's device. It learns nothing: who is where comes from neighbour and forwarding entries that we set, so an
 * unknown destination is not flooded, and nobody can take over an address by sending from it.
 */
export async function createVxlan(node: Netlink, value: VxlanValue): Promise<LinkMetadata> {
  await node.request(
    linkAdd({
      name: value.name,
      address: value.mac,
      mtu: value.mtu,
      info: { kind: "vxlan", vxlan: { id: value.vni, local: value.local, port: value.port, learning: false } },
    }),
  );
  try {
    // A VXLAN device is not echoed (vxlan_dev_create configures it by itself), so it is asked for.
    const link = await node.request(linkGet({ name: value.name }));
    if (!link) throw new Error(`${value.name} was gone at once`);
    await setUp(node, { index: link.index });
    return { nodeIndex: link.index };
  } catch (e) {
    await node.request(linkDelete({ name: value.name })).catch(() => {}); // what made it fail is what counts
    throw e;
  }
}

export function observeVxlan(link: Link): { value: VxlanValue; metadata: LinkMetadata } {
  const vxlan = link.info?.kind === "vxlan" ? link.info.vxlan : undefined;
  return {
    metadata: { nodeIndex: link.index },
    value: {
      kind: "vxlan",
      name: link.name,
      vni: vxlan?.id ?? 0,
      port: vxlan?.port ?? 0,
      mac: link.address ?? "",
      mtu: link.mtu ?? 0,
      local: vxlan?.local ?? "",
      state: (link.flags & LinkFlag.UP) === 0 ? "down" : "up",
    },
  };
}
