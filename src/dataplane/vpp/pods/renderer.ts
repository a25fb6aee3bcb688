import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_MAC, KERNEL_MAC } from "../../../models/linux.ts";
import { interfaceKey, interfaceUpKey } from "../../../models/vpp/interface.ts";
import { unnumberedKey, vppNeighbourKey, vppRouteKey } from "../../../models/vpp/l3.ts";
import type { PodRow } from "../../../pods/api.ts";
import { podEndItems, podLinkItems } from "../../linux/pods/pod-end.ts";
import { hostCidr, item } from "../item.ts";
import { GATEWAY_INTERFACE } from "../names.ts";
import { outsideOf } from "../nodes/outside.ts";
import { cnatFeature, podSideItems } from "../nodes/translation.ts";
import { servicesOf } from "../services/forwarding.ts";
import { openedDevice, readsWith } from "../shared-device.ts";
import { furtherItems } from "./further.ts";
import { hostPortHairpinItems, hostPortReplyItems } from "./host-ports.ts";
import { shapingItems } from "./shaping.ts";
import { tapItems } from "./tap.ts";

export interface PodContext {
  /** What of others must be in place before the pod's interface forwards: what judges its packets. */
  readonly requires?: readonly Key[];
  readonly servesServices?: boolean;
  /** The cluster's networks. */
  readonly inside?: readonly string[];
}

/**
 * A tap, or a veth pair whose node's end VPP shares. The interface borrows the gateway's address, routes and neighbours are
 * told and never asked for, and it forwards only when all of that is there.
 */
export function* renderPod(row: PodRow, context: PodContext): Iterable<KeyValue> {
  const name = row.hostIf;
  const { servesServices = false } = context;
  const isTap = row.link === "tap";
  yield* isTap ? tapItems(row, true) : vethItems(row);
  yield* podEndItems(row, isTap ? [interfaceKey(name)] : []);
  const needed: KeyValue[] = [
    item((v) => unnumberedKey(v.interface), { interface: name, to: GATEWAY_INTERFACE }),
    ...row.ips.flatMap((address) => [
      item(vppNeighbourKey, { interface: name, address, mac: row.mac }),
      item(vppRouteKey, { vrf: 0, dst: hostCidr(address), paths: [{ type: "via" as const, interface: name }] }),
    ]),
    ...(servesServices
      ? [...podSideItems(name), ...servicesOf(name, row.ips)]
      : [
          cnatFeature({ interface: name }),
          ...hostPortHairpinItems(row),
          ...hostPortReplyItems(row, context.inside ?? []),
        ]),
    ...outsideOf(name, row.ips),
  ];
  yield* needed;
  const requires = [...(isTap ? [] : readsWith(name)), ...needed.map(({ key }) => key), ...(context.requires ?? [])];
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires });
  yield* shapingItems(row);
  yield* furtherItems(row);
}

function* vethItems(row: PodRow): Iterable<KeyValue> {
  // VPP takes segments of UDP for those of TCP (af_packet's node.c looks at single bits of gso_type), and the interface that
  // gets one is stuck; SCTP's checksum it does not complete at all. Where sending is limited, whole segments would be dropped:
  // TCP gets a third of the rate then.
  yield* podLinkItems(row, KERNEL_MAC, (row.bandwidth?.egressRate ?? 0) > 0 ? "complete" : "tcp");
  const { hostIf: name, mtu } = row;
  const qdisc = (row.bandwidth?.ingressRate ?? 0) > 0;
  yield* openedDevice({ name, device: name, mac: GATEWAY_MAC, mtu, queues: 1, offload: true, qdisc }, name);
}
