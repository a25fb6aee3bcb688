import { addressDescriptor } from "../../../src/dataplane/linux/l3/address.ts";
import { neighbourDescriptor } from "../../../src/dataplane/linux/l3/neighbour.ts";
import { routeDescriptor } from "../../../src/dataplane/linux/l3/route.ts";
import { carrierDescriptor } from "../../../src/dataplane/linux/link/carrier.ts";
import { linkDescriptor } from "../../../src/dataplane/linux/link/descriptor.ts";
import { LinkReaper } from "../../../src/dataplane/linux/link/reaper.ts";
import { Ends } from "../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { nftDescriptors } from "../../../src/dataplane/linux/nftables/descriptors.ts";
import { FakeNft } from "../../../src/dataplane/linux/nftables/fake.ts";
import { shaperDescriptor } from "../../../src/dataplane/linux/shaping/shaper.ts";
import { sysctlDescriptor } from "../../../src/dataplane/linux/sysctl/descriptor.ts";
import { takenLinkDescriptor } from "../../../src/dataplane/linux/taken-link/descriptor.ts";
import type { TakenUplink } from "../../../src/dataplane/vpp/api.ts";
import { vppDescriptors } from "../../../src/dataplane/vpp/descriptors.ts";
import { type SessionClient, VppSession } from "../../../src/dataplane/vpp/session/session.ts";
import type { Descriptor, Key, KeyValue } from "../../../src/kvscheduler/api/descriptor.ts";
import { linkKey } from "../../../src/models/linux.ts";
import { bySockets } from "../linux/by-sockets.ts";
import { FakeKernel } from "../linux/fake-kernel.ts";

/** The link of {@link file://../linux/rows.ts} that VPP takes, of both families. */
export const UPLINK: TakenUplink = {
  link: "eth0",
  mac: "02:00:00:00:01:01",
  mtu: 1500,
  addresses: ["192.168.0.1/24", "fd00::1/64"],
  networks: ["192.168.0.0/24", "fd00::/64"],
  gro: true,
  routes: [
    { dst: "0.0.0.0/0", gateway: "192.168.0.254", protocol: 4 },
    { dst: "::/0", gateway: "fd00::254", protocol: 4 },
  ],
};

export const byKey = (items: Iterable<KeyValue>): Record<Key, unknown> =>
  Object.fromEntries([...items].map(({ key, value }) => [key, value]));

/** Everything that a VPP node's items are carried out by, over nothing: only asked what items need. */
function descriptors(): readonly Descriptor[] {
  const never = (): never => {
    throw new Error("nothing is carried out here");
  };
  const client = { onState: () => ({ [Symbol.dispose]() {} }) } as unknown as SessionClient;
  const kernel = new FakeKernel();
  const namespaces = new Namespaces(kernel.node, kernel.open);
  const ends = new Ends(namespaces, new Snapshots(bySockets(namespaces)));
  return [
    ...vppDescriptors(VppSession.of(client)),
    linkDescriptor(ends, new LinkReaper([kernel.node], never)),
    carrierDescriptor(ends),
    addressDescriptor(ends),
    routeDescriptor(ends),
    neighbourDescriptor(ends),
    shaperDescriptor(ends),
    sysctlDescriptor({ read: never, write: never }, { get: never, set: never }),
    takenLinkDescriptor(ends, { all: never, set: never }),
    ...nftDescriptors(new FakeNft()),
  ];
}

const DESCRIPTORS = descriptors();

/**
 * What is wrong with items that a node is to have all at once, in words: two under one key, one that nobody carries out or
 * that its descriptor refuses, one that waits for what is not among them (nor there by itself), or in the end for itself.
 */
export function flawsOf(items: readonly KeyValue[], links: readonly string[]): string[] {
  const flaws: string[] = [];
  const there = new Set(links.map(linkKey));
  const needs = new Map<Key, readonly Key[]>();
  for (const { key, value } of items) {
    if (needs.has(key)) flaws.push(`${key} is there twice`);
    const descriptor = DESCRIPTORS.find((d) => d.keyPrefixes.some((prefix) => key.startsWith(prefix)));
    if (descriptor === undefined) flaws.push(`nobody carries out ${key}`);
    try {
      descriptor?.validate?.(key, value);
    } catch (e) {
      flaws.push(`${key} is refused: ${String(e)}`);
    }
    needs.set(
      key,
      (descriptor?.dependencies?.(key, value) ?? []).flatMap((d) => ("key" in d ? [d.key] : [])),
    );
  }
  for (const [key, needed] of needs) {
    for (const other of needed) {
      if (!needs.has(other) && !there.has(other)) flaws.push(`${key} waits for ${other} for ever`);
    }
  }
  return [...flaws, ...circles(needs)];
}

function circles(needs: ReadonlyMap<Key, readonly Key[]>): string[] {
  const found: string[] = [];
  const state = new Map<Key, "open" | "done">();
  const visit = (key: Key): void => {
    if (state.get(key) === "open") found.push(`${key} waits for itself`);
    if (state.has(key)) return;
    state.set(key, "open");
    for (const other of needs.get(key) ?? []) visit(other);
    state.set(key, "done");
  };
  for (const key of needs.keys()) visit(key);
  return found;
}
