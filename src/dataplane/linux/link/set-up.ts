import { errnoOf } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { VethValue } from "../../../models/linux.ts";
import type { Netlink } from "../namespace/namespaces.ts";
import { AddrGenMode } from "../netlink/link.ts";
import { type LinkRef, linkSet } from "../netlink/link-requests.ts";
import { inNetns } from "../netlink/netns.ts";

/*
 * From a link that was made to one that can be used. Being up is the last step: a link that is up is complete, and what a
 * crash has left half made is down and is set up again. No link has addresses of its own, so its mode must be set before.
 */

export async function setUp(netlink: Netlink, link: LinkRef): Promise<void> {
  await netlink.request(linkSet(link, { addrGenMode: AddrGenMode.NONE }));
  faultPoint("setup.half");
  await netlink.request(linkSet(link, { up: true }));
  faultPoint("setup.up");
}

/** Both ends of a pair; `index` is that of the pod's. The node's comes up last, when `others` are done with the pair, too. */
export async function setUpVeth(
  node: Netlink,
  inPod: Netlink,
  value: VethValue,
  { index, others = [] }: { readonly index: number; readonly others?: readonly Promise<void>[] },
): Promise<void> {
  const { netns, ifName } = value.pod;
  await Promise.all([
    ...others,
    enableIpv6(netns, ifName),
    inPod.request(linkSet({ name: "lo" }, { up: true })),
    inPod.request(linkSet({ index }, { addrGenMode: AddrGenMode.NONE })),
    inPod.request(linkSet({ index }, { up: true })),
    node.request(linkSet({ name: value.name }, { addrGenMode: AddrGenMode.NONE })),
  ]);
  faultPoint("link.half");
  await node.request(linkSet({ name: value.name }, { up: true }));
}

/** Some runtimes make namespaces with IPv6 switched off for new interfaces. A kernel without IPv6 has no such file. */
export async function enableIpv6(netns: string, ifName: string): Promise<void> {
  const [result] = await inNetns(netns, [{ write: `net/ipv6/conf/${ifName}/disable_ipv6`, value: "0" }]);
  if (result && "ok" in result && !result.ok && errnoOf(result.error) !== "ENOENT") throw result.error;
}
