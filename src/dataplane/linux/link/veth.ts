import { errnoOf } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import type { VethValue } from "../../../models/linux.ts";
import type { Namespaces } from "../namespace/namespaces.ts";
import type { Snapshots } from "../namespace/snapshots.ts";
import { AddrGenMode, type Link, LinkFlag } from "../netlink/link.ts";
import { linkAdd, linkDelete, linkSet } from "../netlink/link-requests.ts";
import { inNetns } from "../netlink/netns.ts";
import type { LinkMetadata } from "./metadata.ts";

/**
 * Makes the pair from inside the pod's namespace, where the name may be taken, and lets the kernel put the other end into
 * the namespace of this process. Neither end gets addresses of its own: addrGenMode NONE must be set before a link goes up.
 */
export async function createVeth(namespaces: Namespaces, value: VethValue): Promise<LinkMetadata> {
  const { netns, ifName, mac, mtu } = value.pod;
  return namespaces.in(netns, async (inPod) => {
    faultPoint("link.opened");
    const link = await inPod.request(
      linkAdd({
        name: ifName,
        address: mac,
        mtu,
        info: { kind: "veth", peer: { name: value.name, address: value.mac, mtu: value.mtu, netnsPid: process.pid } },
      }),
    );
    if (!link) {
      throw new Error(`the kernel did not say which link it created for ${ifName} (Linux 6.2 or later is needed)`);
    }
    faultPoint("link.created");
    try {
      const { node } = namespaces;
      await Promise.all([
        enableIpv6(netns, ifName),
        inPod.request(linkSet({ name: "lo" }, { up: true })),
        inPod.request(linkSet({ index: link.index }, { addrGenMode: AddrGenMode.NONE })),
        inPod.request(linkSet({ index: link.index }, { up: true })),
        node.request(linkSet({ name: value.name }, { addrGenMode: AddrGenMode.NONE })),
        node.request(linkSet({ name: value.name }, { up: true })),
      ]);
      faultPoint("link.up");
    } catch (e) {
      // Half a pair is worse than none. What made it fail is what counts.
      await inPod.request(linkDelete({ index: link.index })).catch(() => {});
      throw e;
    }
    // `link` of a veth is the index of its peer, in the peer's namespace.
    return { nodeIndex: link.link ?? 0, pod: { netns, index: link.index } };
  });
}

/** Some runtimes make namespaces with IPv6 switched off for new interfaces. A kernel without IPv6 has no such file. */
async function enableIpv6(netns: string, ifName: string): Promise<void> {
  const [result] = await inNetns(netns, [{ write: `net/ipv6/conf/${ifName}/disable_ipv6`, value: "0" }]);
  if (result && "ok" in result && !result.ok && errnoOf(result.error) !== "ENOENT") throw result.error;
}

/** The pair as it is, seen from the node's end; what cannot be found differs from anything asked for. */
export async function observeVeth(
  snapshots: Snapshots,
  ctx: OpContext,
  link: Link,
  expected: VethValue | undefined,
): Promise<{ value: VethValue; metadata: LinkMetadata }> {
  const pod = expected && (await snapshots.pod(ctx, expected.pod.netns));
  // The index alone could be that of another link in another namespace with the same path.
  const peer = pod?.links.find((l) => l.index === link.link && l.info?.kind === "veth" && l.link === link.index);
  const up = (link.flags & LinkFlag.UP) !== 0 && peer !== undefined && (peer.flags & LinkFlag.UP) !== 0;
  const metadata: LinkMetadata = {
    nodeIndex: link.index,
    ...(expected && peer ? { pod: { netns: expected.pod.netns, index: peer.index } } : {}),
  };
  return {
    metadata,
    value: {
      kind: "veth",
      name: link.name,
      mac: link.address ?? "",
      mtu: link.mtu ?? 0,
      state: up ? "up" : "down",
      pod: {
        netns: expected?.pod.netns ?? "",
        netnsId: expected && peer ? expected.pod.netnsId : "",
        ifName: peer?.name ?? "",
        mac: peer?.address ?? "",
        mtu: peer?.mtu ?? 0,
      },
    },
  };
}
