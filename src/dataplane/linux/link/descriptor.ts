import { isDeepStrictEqual } from "node:util";
import { faultPoint } from "../../../base/faults/fault-point.ts";
import type { Correlate, Descriptor, OpContext, Retrieved } from "../../../kvscheduler/api/descriptor.ts";
import {
  isIfbLink,
  isPairLink,
  LINK_PREFIX,
  type LinkValue,
  linkKey,
  type TapLinkValue,
  type VethValue,
  VXLAN_LINK,
} from "../../../models/linux.ts";
import type { Ends } from "../namespace/ends.ts";
import { type Link, LinkFlag } from "../netlink/link.ts";
import { canChange, changeLink } from "./change.ts";
import { createIfb, observeIfb } from "./ifb.ts";
import type { LinkMetadata } from "./metadata.ts";
import type { LinkReaper } from "./reaper.ts";
import { createTap, deleteTap, observeTap } from "./tap.ts";
import { createVeth, observeVeth } from "./veth.ts";
import { createVxlan, observeVxlan } from "./vxlan.ts";

type Found = Retrieved<LinkValue, LinkMetadata>;

/** Links: pods' veths, the overlay's VXLAN device; other links of the node are observed, for what depends on them. */
export function linkDescriptor(ends: Ends, reaper: LinkReaper): Descriptor<LinkValue, LinkMetadata> {
  const { namespaces, snapshots } = ends;
  return {
    name: "linux-link",
    keyPrefixes: [LINK_PREFIX],
    concurrency: 64,
    describe: (_key, value) => describe(value),
    equivalent: (_key, a, b) => isDeepStrictEqual(withoutPodMtu(a), withoutPodMtu(b)),
    create(_key, value) {
      snapshots.changed();
      switch (value.kind) {
        case "veth":
          return createVeth(namespaces, value);
        case "tap":
          return createTap(namespaces, value);
        case "vxlan":
          return createVxlan(namespaces.node, value);
        case "ifb":
          return createIfb(namespaces.node, value);
        case "foreign":
          throw new Error(`link ${value.name} is not ours to create`);
      }
    },
    async update(_key, before, value, metadata) {
      snapshots.changed();
      await changeLink(namespaces, before, value, metadata);
      return metadata;
    },
    updateNeedsRecreate: (_key, before, after) => !canChange(before, after),
    async delete(_key, value, metadata) {
      snapshots.changed();
      if (value.kind === "tap") await deleteTap(namespaces, metadata ?? {});
      else if (value.kind !== "foreign") await reaper.remove({ name: value.name, index: metadata?.nodeIndex });
      if (hasPodEnd(value)) snapshots.gone(value.pod.netns);
      faultPoint("link.gone");
    },
    async retrieve(correlate, ctx) {
      const known = new Map(Array.from(correlate, (c) => [c.key, c]));
      const { links } = await snapshots.node(ctx);
      const found = await Promise.all([
        ...links.map((link) => observe(ends, ctx, link, known.get(linkKey(link.name)))),
        ...withoutLink(links, known.values()).map((value) => observeInPod(ends, ctx, value)),
      ]);
      return found.filter((item) => item !== undefined);
    },
  };
}

const hasPodEnd = (value: LinkValue): value is TapLinkValue | VethValue =>
  value.kind === "tap" || value.kind === "veth";

async function observe(
  ends: Ends,
  ctx: OpContext,
  link: Link,
  known: Correlate<LinkValue, LinkMetadata> | undefined,
): Promise<Found | undefined> {
  const key = linkKey(link.name);
  if (isPairLink(link.name) && link.info?.kind === "veth") {
    const expected = known?.value.kind === "veth" ? known.value : undefined;
    return { key, ...(await observeVeth(ends.snapshots, ctx, link, expected)), origin: "northbound" };
  }
  if (isIfbLink(link.name)) return { key, ...observeIfb(link), origin: "northbound" };
  if (link.name === VXLAN_LINK) return { key, ...observeVxlan(link), origin: "northbound" };
  if ((link.flags & LinkFlag.LOOPBACK) !== 0) return undefined;
  return {
    key,
    value: { kind: "foreign", name: link.name },
    metadata: { nodeIndex: link.index },
    origin: "southbound",
  };
}

/** Those that the node has no link of: taps, and what may be one in the place of a pair. */
function withoutLink(links: readonly Link[], known: IteratorObject<Correlate<LinkValue, LinkMetadata>>) {
  const there = new Set(links.map(({ name }) => name));
  const values = known.map(({ value }) => value);
  return values
    .filter((value) => hasPodEnd(value))
    .filter(({ name }) => !there.has(name))
    .toArray();
}

async function observeInPod(
  ends: Ends,
  ctx: OpContext,
  expected: TapLinkValue | VethValue,
): Promise<Found | undefined> {
  const found = await observeTap(ends.snapshots, ctx, expected);
  return found && { key: linkKey(expected.name), ...found, origin: "northbound" };
}

/** A later plugin of the chain may change it; to make the pair anew for that would cost the pod its connections. */
function withoutPodMtu(value: LinkValue): LinkValue {
  return hasPodEnd(value) ? { ...value, pod: { ...value.pod, mtu: 0 } } : value;
}

const PODS_SEND = { all: "", complete: "pod sends complete packets, ", tcp: "pod leaves only TCP to do, " } as const;

function describe(value: LinkValue): string {
  switch (value.kind) {
    case "veth":
      return `veth to ${value.pod.ifName} in ${value.pod.netns} (${value.pod.mac}, mtu ${value.pod.mtu}), mtu ${value.mtu}, ${value.segments === "cut" ? "segments cut, " : ""}${PODS_SEND[value.podSends ?? "all"]}${value.state}`;
    case "tap":
      return `tap ${value.pod.ifName} in ${value.pod.netns} (${value.pod.mac}, mtu ${value.pod.mtu}), ${value.state}`;
    case "vxlan":
      return `vxlan ${value.vni} port ${value.port} local ${value.local}, mtu ${value.mtu}, ${value.state}`;
    case "ifb":
      return `ifb, mtu ${value.mtu}, ${value.state}`;
    case "foreign":
      return "not ours";
  }
}
