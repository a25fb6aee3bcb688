import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  GATEWAY_MAC,
  type IfbValue,
  ifbName,
  linkKey,
  type NeighbourValue,
  neighbourKey,
  type RedirectValue,
  type RouteValue,
  redirectKey,
  routeKey,
  type ShaperValue,
  shaperKey,
} from "../../../models/linux.ts";
import type { PodRow } from "../../../pods/api.ts";
import { hairpinItem, loopbackItems } from "./loopback.ts";
import { podEndItems, podLinkItems } from "./pod-end.ts";

/**
 * A routed veth pair without a bridge. In the pod: its addresses as /32 and /128, a default route through a link-local
 * gateway, a permanent neighbour for that gateway. On the node: a host route and a permanent neighbour for each address.
 * Nobody ever asks for an address on the link, so none can be lost or spoofed, and no duplicate detection delays it.
 */
export function* renderPod(row: PodRow): Iterable<KeyValue> {
  const link = row.hostIf;
  yield* podLinkItems(row, GATEWAY_MAC);
  yield* podEndItems(row);
  for (const address of row.ips) {
    const dst = `${address}/${address.includes(":") ? 128 : 32}`;
    yield item(routeKey, { link, end: "node", type: "unicast", dst } satisfies RouteValue);
    yield item(neighbourKey, { link, end: "node", address, mac: row.mac } satisfies NeighbourValue);
    yield hairpinItem(address);
  }
  const { bandwidth } = row;
  if (bandwidth && bandwidth.ingressRate > 0) yield shaper(link, bandwidth.ingressRate, bandwidth.ingressBurst);
  if (bandwidth && bandwidth.egressRate > 0) {
    const name = ifbName(link);
    yield { key: linkKey(name), value: { kind: "ifb", name, mtu: row.mtu, state: "up" } satisfies IfbValue };
    yield item(redirectKey, { link, to: name } satisfies RedirectValue);
    yield shaper(name, bandwidth.egressRate, bandwidth.egressBurst);
  }
  yield* loopbackItems(row);
}

function shaper(link: string, rate: number, burst: number): KeyValue {
  return item(shaperKey, { link, rate, burst } satisfies ShaperValue);
}

const item = <V>(keyOf: (value: V) => string, value: V): KeyValue => ({ key: keyOf(value), value });
