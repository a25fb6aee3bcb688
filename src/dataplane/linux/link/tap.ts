import { errnoOf } from "../../../base/errors/errors.ts";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import type { TapLinkValue, VethValue } from "../../../models/linux.ts";
import type { Namespaces, Netlink } from "../namespace/namespaces.ts";
import type { Snapshots } from "../namespace/snapshots.ts";
import { isNotFound } from "../netlink/errors.ts";
import { AddrGenMode, type Link, LinkFlag } from "../netlink/link.ts";
import { linkDelete, linkGet, linkSet } from "../netlink/link-requests.ts";
import { inNetns, netnsIdentity } from "../netlink/netns.ts";
import type { LinkMetadata } from "./metadata.ts";
import { enableIpv6 } from "./set-up.ts";

/*
 * Taps of pods. The device is made here and not by whoever forwards: so what lies on it stays when the other one ends, and is
 * made before it starts.
 */

/** Makes the device in the pod's namespace; EEXIST where the name is taken. It has no carrier until somebody opens it. */
export async function createTap(namespaces: Namespaces, value: TapLinkValue): Promise<LinkMetadata> {
  const { netns, ifName, mac, mtu } = value.pod;
  return namespaces.in(netns, async (inPod) => {
    const [made] = await inNetns(netns, [{ tap: ifName }]);
    if (made && "ok" in made && !made.ok) throw made.error;
    faultPoint("link.created");
    try {
      const [link] = await Promise.all([
        inPod.request(linkGet({ name: ifName })),
        inPod.request(linkSet({ name: ifName }, { address: mac, mtu })),
        setUp(inPod, value),
      ]);
      if (!link) throw new Error(`the tap ${ifName} was gone at once`);
      faultPoint("link.up");
      return { pod: { netns, index: link.index } };
    } catch (e) {
      await inPod.request(linkDelete({ name: ifName })).catch(() => {}); // what made it fail is what counts
      throw e;
    }
  });
}

/** Brings a tap that is there to what it shall be. Its MTU may have been changed by a later plugin of the chain. */
export async function changeTap(namespaces: Namespaces, before: TapLinkValue, value: TapLinkValue): Promise<void> {
  const { netns, ifName, mac } = value.pod;
  await namespaces.in(netns, async (inPod) => {
    // The kernel forgets all neighbours when it is told an address, also the same one.
    if (mac !== before.pod.mac) await inPod.request(linkSet({ name: ifName }, { address: mac }));
    if (value.state !== before.state) await setUp(inPod, value);
  });
}

async function setUp(inPod: Netlink, { pod: { netns, ifName } }: TapLinkValue): Promise<void> {
  await enableIpv6(netns, ifName);
  await Promise.all([
    inPod.request(linkSet({ name: "lo" }, { up: true })),
    inPod.request(linkSet({ name: ifName }, { addrGenMode: AddrGenMode.NONE })),
    inPod.request(linkSet({ name: ifName }, { up: true })),
  ]);
}

/** Also when it is gone already, with who had it open or with its namespace. */
export async function deleteTap(namespaces: Namespaces, { pod }: LinkMetadata): Promise<void> {
  if (!pod) return;
  try {
    await namespaces.in(pod.netns, (inPod) => inPod.request(linkDelete({ index: pod.index })));
  } catch (e) {
    if (!isNotFound(e) && errnoOf(e) !== "NOT_A_NETNS") throw e;
  }
}

/** The tap in the pod of a link that the node has not: the pod's link, made by whichever dataplane it had. */
export async function observeTap(
  snapshots: Snapshots,
  ctx: OpContext,
  expected: TapLinkValue | VethValue,
): Promise<{ value: TapLinkValue; metadata: LinkMetadata } | undefined> {
  const { netns, netnsId, ifName, mac } = expected.pod;
  const links = (await snapshots.pod(ctx, netns))?.links;
  const link = links?.find((l) => l.name === ifName && l.info?.kind === "tun" && l.info.tun?.mode === "tap");
  // The path may name another pod's namespace by now.
  if (!link || (link.address !== mac && !(await isAt(netns, netnsId)))) return undefined;
  return { value: found(expected, link), metadata: { pod: { netns, index: link.index } } };
}

const found = ({ name, pod }: TapLinkValue | VethValue, link: Link): TapLinkValue => ({
  kind: "tap",
  name,
  state: (link.flags & LinkFlag.UP) === 0 ? "down" : "up",
  pod: { ...pod, mac: link.address ?? "", mtu: link.mtu ?? 0 },
});

const isAt = async (netns: string, id: string): Promise<boolean> =>
  (await netnsIdentity(netns).catch(() => undefined)) === id;
