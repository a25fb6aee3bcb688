import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { OpContext } from "../../../kvscheduler/api/descriptor.ts";
import { SEGMENT_LINK, type VethValue } from "../../../models/linux.ts";
import type { Namespaces } from "../namespace/namespaces.ts";
import type { Snapshot, Snapshots } from "../namespace/snapshots.ts";
import { type Link, LinkFlag } from "../netlink/link.ts";
import { linkAdd, linkDelete } from "../netlink/link-requests.ts";
import type { LinkMetadata } from "./metadata.ts";
import { podSendsQuestion, readPodSends, readSegments, setPodSends, setSegments } from "./segments.ts";
import { setUpVeth } from "./set-up.ts";

/**
 * Makes the pair from inside the pod's namespace, where the name may be taken, and lets the kernel put the other end into
 * the namespace of this process.
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
      const others = [
        ...(value.segments === undefined ? [] : [setSegments(value, value.segments)]),
        ...(value.podSends === undefined ? [] : [setPodSends(value, value.podSends)]),
      ];
      await setUpVeth(namespaces.node, inPod, value, { index: link.index, others });
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

interface Observed {
  readonly value: VethValue;
  readonly metadata: LinkMetadata;
}

/** What was observed of a link, as long as all that tells of it is as it was. */
const observed = new WeakMap<
  Link,
  { readonly pod: Snapshot | undefined; readonly expected: VethValue; readonly is: Observed }
>();

/** The pair as it is, seen from the node's end; what cannot be found differs from anything asked for. */
export async function observeVeth(
  snapshots: Snapshots,
  ctx: OpContext,
  link: Link,
  expected: VethValue | undefined,
): Promise<Observed> {
  const asked = expected?.podSends === undefined ? undefined : podSendsQuestion(expected);
  const pod = expected && (await snapshots.pod(ctx, expected.pod.netns, asked));
  const before = observed.get(link);
  if (before && before.pod === pod && before.expected === expected) return before.is;
  // The index alone could be that of another link in another namespace with the same path.
  const peer = pod?.links.find((l) => l.index === link.link && l.info?.kind === "veth" && l.link === link.index);
  const up = (link.flags & LinkFlag.UP) !== 0 && peer !== undefined && (peer.flags & LinkFlag.UP) !== 0;
  // Not asked of every pod's link: it is a call of its own.
  const isAsked = expected?.segments !== undefined || link.name === SEGMENT_LINK;
  const found =
    expected && peer ? { name: link.name, pod: { netns: expected.pod.netns, ifName: peer.name } } : undefined;
  const segments = isAsked && found ? await readSegments(found) : undefined;
  const podSends = asked && found && pod ? await readPodSends(found, pod) : undefined;
  const metadata: LinkMetadata = {
    nodeIndex: link.index,
    ...(expected && peer ? { pod: { netns: expected.pod.netns, index: peer.index } } : {}),
  };
  const is: Observed = {
    metadata,
    value: {
      kind: "veth",
      name: link.name,
      mac: link.address ?? "",
      mtu: link.mtu ?? 0,
      state: up ? "up" : "down",
      ...(segments === undefined ? {} : { segments }),
      ...(podSends === undefined ? {} : { podSends }),
      pod: {
        netns: expected?.pod.netns ?? "",
        netnsId: expected && peer ? expected.pod.netnsId : "",
        ifName: peer?.name ?? "",
        mac: peer?.address ?? "",
        mtu: peer?.mtu ?? 0,
      },
    },
  };
  const isAllTold = !isAsked && (asked === undefined || pod?.features?.link === peer?.name);
  if (expected && isAllTold) observed.set(link, { pod, expected, is });
  return is;
}
