import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type CarrierValue,
  carrierKey,
  KERNEL_MAC,
  linkKey,
  OWN_NETNS,
  SEGMENT_LINK,
  SEGMENT_PEER,
  type VethValue,
} from "../../../models/linux.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import { interfaceUpKey } from "../../../models/vpp/interface.ts";
import { type RoutePath, unnumberedKey, vppNeighbourKey, vppRouteKey, vrfKey } from "../../../models/vpp/l3.ts";
import type { TakenUplink } from "../api.ts";
import { isIpv6, item } from "../item.ts";
import {
  ABF_POLICIES,
  GATEWAY_INTERFACE,
  SEGMENT_HOP,
  SEGMENT_IN_INTERFACE,
  SEGMENT_IN_MAC,
  SEGMENT_OUT_INTERFACE,
  SEGMENT_OUT_MAC,
  SEGMENT_VRF,
} from "../names.ts";
import { sharedDevice } from "../shared-device.ts";

const POLICY = ABF_POLICIES.segments;
const EVERYTHING = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * VPP takes segments of 64 KiB from its AF_PACKET devices and hands them on to others, but cannot cut them: of IPv4 it takes
 * them for IPv6 (gso_fixup_segmented_buf looks at the checksum flag that only taps set). On the wire they have no place, and
 * inside a tunnel they would wedge the uplink. So what pods send to other machines passes a pair of links whose first end
 * the kernel cuts everything for. What comes back in is routed by a table of its own: to other nodes directly, and else as
 * everything is. The interface itself is in the table of all others, by which CNAT knows connections again.
 */
export function* segmentItems(uplinks: readonly TakenUplink[], netnsId: string): Iterable<KeyValue> {
  const mtu = Math.min(...uplinks.map((u) => u.mtu));
  const pair: VethValue = {
    kind: "veth",
    name: SEGMENT_LINK,
    mac: KERNEL_MAC,
    mtu,
    state: "up",
    segments: "cut",
    pod: { netns: OWN_NETNS, netnsId, ifName: SEGMENT_PEER, mac: KERNEL_MAC, mtu },
  };
  yield { key: linkKey(SEGMENT_LINK), value: pair };
  yield { key: carrierKey(SEGMENT_LINK), value: { link: SEGMENT_LINK } satisfies CarrierValue };
  const common = { mtu, queues: 1, offload: true };
  // Past the queueing discipline the kernel drops what it would have to cut (__dev_direct_xmit), and the ring is stuck.
  yield* sharedDevice(
    { name: SEGMENT_OUT_INTERFACE, device: SEGMENT_LINK, mac: SEGMENT_OUT_MAC, ...common, qdisc: true },
    SEGMENT_LINK,
  );
  yield* sharedDevice(
    { name: SEGMENT_IN_INTERFACE, device: SEGMENT_PEER, mac: SEGMENT_IN_MAC, ...common, qdisc: false },
    SEGMENT_LINK,
  );
  const out: Key[] = [unnumberedKey(SEGMENT_OUT_INTERFACE)];
  yield item((v) => unnumberedKey(v.interface), { interface: SEGMENT_OUT_INTERFACE, to: GATEWAY_INTERFACE });
  const into: Key[] = [unnumberedKey(SEGMENT_IN_INTERFACE)];
  yield item((v) => unnumberedKey(v.interface), { interface: SEGMENT_IN_INTERFACE, to: GATEWAY_INTERFACE });
  for (const family of [4, 6] as const) {
    const hop = { interface: SEGMENT_OUT_INTERFACE, address: SEGMENT_HOP[family], mac: SEGMENT_IN_MAC };
    yield item(vppNeighbourKey, hop);
    out.push(vppNeighbourKey(hop));
    yield item(vrfKey, { family, id: SEGMENT_VRF, name: "segments" });
    const rest: RoutePath = { type: "lookup", vrf: 0 };
    yield item(vppRouteKey, { vrf: SEGMENT_VRF, dst: EVERYTHING[family], paths: [rest] });
    for (const taken of ownTable(family)) {
      yield taken;
      into.push(taken.key);
    }
  }
  yield item((v) => interfaceUpKey(v.interface), { interface: SEGMENT_OUT_INTERFACE, requires: out });
  yield item((v) => interfaceUpKey(v.interface), { interface: SEGMENT_IN_INTERFACE, requires: into });
}

/** Sends what comes back in to the table of its own. */
function ownTable(family: 4 | 6): KeyValue[] {
  const any = EVERYTHING[family];
  const list: AclValue = { name: `segments-${family}`, rules: [{ action: "permit", src: any, dst: any }] };
  const policy: AbfPolicyValue = {
    id: POLICY[family],
    family,
    acl: list.name,
    paths: [{ type: "lookup", vrf: SEGMENT_VRF }],
  };
  return [
    item((v) => aclKey(v.name), list),
    item((v) => abfPolicyKey(v.id), policy),
    // Behind what is led to the host for its egress address.
    item(abfAttachmentKey, { interface: SEGMENT_IN_INTERFACE, policy: policy.id, priority: 1 }),
  ];
}

/** Routes that send what goes to `dst` to be cut, and then on by a path. */
export function* routeInPackets(dst: string, onwards: RoutePath): Iterable<KeyValue> {
  const cut = { type: "via" as const, interface: SEGMENT_OUT_INTERFACE, gateway: SEGMENT_HOP[isIpv6(dst) ? 6 : 4] };
  yield item(vppRouteKey, { vrf: 0, dst, paths: [cut] });
  yield item(vppRouteKey, { vrf: SEGMENT_VRF, dst, paths: [onwards] });
}
