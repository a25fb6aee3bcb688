import { parseNetwork } from "../../../base/ip/cidr.ts";
import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import {
  CNAT_SNAT_KEY,
  type CnatFeatureValue,
  type CnatSnatInterfaceValue,
  type CnatSnatValue,
  cnatFeatureKey,
  cnatSnatExcludeKey,
  cnatSnatInterfaceKey,
} from "../../../models/vpp/cnat.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import type { TakenUplink } from "../api.ts";
import { isIpv6, item } from "../item.ts";
import {
  BVI_INTERFACE,
  HOST_INTERFACE,
  SEGMENT_IN_INTERFACE,
  SEGMENT_OUT_INTERFACE,
  uplinkInterface,
} from "../names.ts";

/**
 * What VPP itself answers, pings for example, comes from `local0`, which the table of interfaces whose sources are translated
 * cannot be without (cnat/snat.ts): nothing that goes anywhere is.
 */
const EVERYWHERE = ["0.0.0.0/1", "128.0.0.0/1"] as const;

/**
 * CNAT on a node, for services and for the ports of its pods.
 *
 * CNAT keeps what it has found out about a packet beside it (cnat_node_feature.c): an interface that packets leave by may
 * have it only if all that they can come in by have it, too. What is cut on its way passes VPP twice, and CNAT takes what it
 * has translated the first time for another connection, whose answers would be another's. So with services, what the answers
 * look like is taken down where packets go to be cut, and not where they leave the second time.
 */
export function* translationItems(
  row: LocalNodeRow,
  uplinks: readonly TakenUplink[],
  servesServices: boolean,
): Iterable<KeyValue> {
  const overlay = row.overlay.kind === "vxlan" ? [BVI_INTERFACE] : [];
  const outer = [...uplinks.map(({ link }) => uplinkInterface(link)), ...overlay];
  const snat = servesServices ? sourceTranslation(row) : undefined;
  if (!snat) {
    for (const name of [...outer, HOST_INTERFACE, SEGMENT_IN_INTERFACE]) yield cnatFeature({ interface: name });
    return;
  }
  yield item(() => CNAT_SNAT_KEY, snat);
  for (const prefix of EVERYWHERE) yield item((v) => cnatSnatExcludeKey(v.prefix), { prefix });
  for (const name of outer) yield* outerItems(name);
  // What comes from there has been looked at before it was cut, or is the host's own; what goes to the host is left as it is.
  yield* podSideItems(SEGMENT_IN_INTERFACE);
  const toHost: CnatSnatInterfaceValue = { interface: HOST_INTERFACE, table: "host" };
  yield item(cnatSnatInterfaceKey, toHost);
  yield* podSideItems(HOST_INTERFACE, [cnatSnatInterfaceKey(toHost)]);
  yield cnatFeature({ interface: SEGMENT_OUT_INTERFACE, requires: [CNAT_SNAT_KEY] });
}

/** CNAT on an interface whose connections keep their source, but for those of a pod to itself. */
export function* podSideItems(name: string, more: readonly Key[] = []): Iterable<KeyValue> {
  const side: CnatSnatInterfaceValue = { interface: name, table: "pod" };
  yield item(cnatSnatInterfaceKey, side);
  yield cnatFeature({ interface: name, requires: [CNAT_SNAT_KEY, cnatSnatInterfaceKey(side), ...more] });
}

/** CNAT on an interface to other machines: what leaves there has got its source before. */
function* outerItems(name: string): Iterable<KeyValue> {
  const side: CnatSnatInterfaceValue = { interface: name, table: "host" };
  yield item(cnatSnatInterfaceKey, side);
  const requires = [CNAT_SNAT_KEY, cnatSnatInterfaceKey(side)];
  yield cnatFeature({ interface: name, writeback: false, requires });
}

export function cnatFeature(value: CnatFeatureValue): KeyValue {
  return item((v) => cnatFeatureKey(v.interface), value);
}

/**
 * Whose address is translated, behind all policies: a pod's that reaches itself through a service, and those of clients
 * outside of the cluster that have got a backend elsewhere, whose answers have to come back here. The address is the pod
 * subnet's own, which is never a pod's; its answers find the way, and VPP drops what is no answer.
 */
export function sourceTranslation({ podCIDRs }: Pick<LocalNodeRow, "podCIDRs">): CnatSnatValue | undefined {
  const own = podCIDRs.map(parseNetwork).filter((network) => network.prefix < (network.family === 4 ? 31 : 127));
  const ip4 = own.find(({ address }) => !isIpv6(address))?.address;
  const ip6 = own.find(({ address }) => isIpv6(address))?.address;
  if (ip4 === undefined && ip6 === undefined) return undefined;
  return { ...(ip4 === undefined ? {} : { ip4 }), ...(ip6 === undefined ? {} : { ip6 }), policy: "k8s" };
}
