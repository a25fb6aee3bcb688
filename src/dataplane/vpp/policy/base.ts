import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { aclInterfaceKey, aclKey } from "../../../models/vpp/acl.ts";
import { flowFilterKey } from "../../../models/vpp/flow-filter.ts";
import { vppRouteKey, vrfKey } from "../../../models/vpp/l3.ts";
import { type SourceCheckValue, sourceCheckKey } from "../../../models/vpp/urpf.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { ANY, commonAcl, notTheNodeAcl } from "./lists.ts";
import { NOT_THE_NODE_LIST, OVERLAY_SOURCES_VRF, SOURCES_VRF } from "./names.ts";

/** What of the node policies have to know. */
export interface PolicyNodeContext {
  /** The node's addresses that packets come from and go to. */
  readonly addresses: readonly string[];
  readonly podCIDRs: readonly string[];
  /** Those that only pods beside it can reach: the gateway's. */
  readonly linkAddresses: readonly string[];
  /** Interfaces by which packets come in from other machines as they are. */
  readonly uplinks: readonly string[];
  /** The one by which they come in from other nodes' pods, if there is an overlay. */
  readonly overlay?: string | undefined;
  /** All others of the node itself that packets come in by. */
  readonly inner: readonly string[];
}

/** What judges packets of pods beside their own lists. An interface of a pod is not up before it has all of its own. */
export function* policyBase({ addresses, podCIDRs, uplinks, overlay, inner }: PolicyNodeContext): Iterable<KeyValue> {
  for (const direction of ["egress", "ingress"] as const) {
    yield item((v) => aclKey(v.name), commonAcl(direction, addresses));
  }
  yield item((v) => aclKey(v.name), notTheNodeAcl(addresses, podCIDRs));
  for (const name of uplinks) {
    yield item((v) => aclInterfaceKey(v.interface), { interface: name, input: [NOT_THE_NODE_LIST], output: [] });
  }
  // Packets of flows that were stopped are dropped where they come in, whichever pod's policies are the reason.
  const outer = overlay === undefined ? uplinks : [...uplinks, overlay];
  for (const name of [...outer, ...inner]) yield item((v) => flowFilterKey(v.interface), { interface: name });
  for (const family of [4, 6] as const) yield item(vrfKey, { family, id: SOURCES_VRF, name: "sources" });
  if (overlay !== undefined) yield* overlayItems(overlay, [...addresses.map(hostCidr), ...podCIDRs]);
}

/**
 * What comes from other nodes has none of this one's addresses, or of its pods'. Not by a list: the ACL plugin would judge what goes to other
 * nodes by it, too, which comes into the bridge from the same interface.
 */
function* overlayItems(overlay: string, sources: readonly string[]): Iterable<KeyValue> {
  const vrf = OVERLAY_SOURCES_VRF;
  for (const family of [4, 6] as const) {
    yield item(vrfKey, { family, id: vrf, name: "overlay-sources" });
    const own = sources.filter((cidr) => isIpv6(cidr) === (family === 6));
    const routes = [
      ...own.map((dst) => item(vppRouteKey, { vrf, dst, paths: [{ type: "drop" as const }] })),
      item(vppRouteKey, { vrf, dst: ANY[family], paths: [{ type: "via" as const, interface: overlay }] }),
    ];
    yield* routes;
    const check: SourceCheckValue = { interface: overlay, family, vrf, requires: routes.map(({ key }) => key) };
    yield item(sourceCheckKey, check);
  }
}
