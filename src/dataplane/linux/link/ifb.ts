import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { IfbValue } from "../../../models/linux.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { type Link, LinkFlag } from "../netlink/link.ts";
import { linkAdd, linkDelete, linkGet } from "../netlink/link-requests.ts";
import type { LinkMetadata } from "./metadata.ts";
import { setUp } from "./set-up.ts";

export async function createIfb(node: Netlink, value: IfbValue): Promise<LinkMetadata> {
  await node.request(linkAdd({ name: value.name, mtu: value.mtu, info: { kind: "ifb" } }));
  faultPoint("ifb.created");
  try {
    const link = await node.request(linkGet({ name: value.name }));
    faultPoint("ifb.found");
    if (!link) throw new Error(`${value.name} was gone at once`);
    await setUp(node, { index: link.index });
    return { nodeIndex: link.index };
  } catch (e) {
    await node.request(linkDelete({ name: value.name })).catch(() => {}); // what made it fail is what counts
    throw e;
  }
}

export function observeIfb(link: Link): { value: IfbValue; metadata: LinkMetadata } {
  const state = (link.flags & LinkFlag.UP) === 0 ? "down" : "up";
  return {
    value: { kind: "ifb", name: link.name, mtu: link.mtu ?? 0, state },
    metadata: { nodeIndex: link.index },
  };
}
