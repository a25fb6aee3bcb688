import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  type AddressValue,
  addressKey,
  type CarrierValue,
  carrierKey,
  GATEWAY_IPV4,
  GATEWAY_IPV6,
  GATEWAY_MAC,
  linkKey,
  type NeighbourValue,
  neighbourKey,
  type RouteValue,
  routeKey,
  type VethValue,
} from "../../../models/linux.ts";
import type { PodRow } from "../../../pods/api.ts";

/** The veth pair of a pod, whichever dataplane forwards; `mac` is that of the kernel's device on the node. */
export function* podLinkItems(
  row: Pick<PodRow, "hostIf" | "ifName" | "mac" | "mtu" | "netns" | "netnsId">,
  mac: string,
  podSends?: VethValue["podSends"],
): Iterable<KeyValue> {
  const link = row.hostIf;
  const veth: VethValue = {
    kind: "veth",
    name: link,
    mac,
    mtu: row.mtu,
    state: "up",
    ...(podSends === undefined ? {} : { podSends }),
    pod: { netns: row.netns, netnsId: row.netnsId, ifName: row.ifName, mac: row.mac, mtu: row.mtu },
  };
  yield { key: linkKey(link), value: veth };
  yield { key: carrierKey(link), value: { link } satisfies CarrierValue };
}

/**
 * What a pod finds on its interface. The same on all dataplanes, so that a node's can be changed under its pods. `settled`: what
 * sets the interface's address, upon which the kernel forgets its neighbours.
 */
export function* podEndItems(row: PodRow, settled: readonly Key[] = []): Iterable<KeyValue> {
  const link = row.hostIf;
  for (const address of row.ips) {
    const ipv6 = address.includes(":");
    const gateway = ipv6 ? GATEWAY_IPV6 : GATEWAY_IPV4;
    const own: AddressValue = { link, end: "pod", address, prefix: ipv6 ? 128 : 32 };
    const neighbour: NeighbourValue = {
      ...{ link, end: "pod", address: gateway, mac: GATEWAY_MAC },
      ...(settled.length === 0 ? {} : { requires: settled }),
    };
    const route: RouteValue = {
      link,
      end: "pod",
      type: "unicast",
      dst: ipv6 ? "::/0" : "0.0.0.0/0",
      gateway,
      onLink: true,
      ...(row.routeMetric === undefined ? {} : { metric: row.routeMetric }),
    };
    yield { key: addressKey(own), value: own };
    yield { key: neighbourKey(neighbour), value: neighbour };
    yield { key: routeKey(route), value: route };
  }
}
