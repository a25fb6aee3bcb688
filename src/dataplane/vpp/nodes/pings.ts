import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import type { TakenUplink } from "../api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { ABF_POLICIES, HOST_HOP, HOST_INTERFACE, uplinkInterface } from "../names.ts";

const ICMPV6 = 58;
const ECHO_REQUEST = [128, 128] as const;
/** Behind those of services. */
const PRIORITY = 1;

/**
 * Pings over IPv6 of this node from pods elsewhere that come in as they are, without an overlay, are for the host to answer. VPP's
 * own answer still counts as come in by the uplink (ip6-icmp-echo-request leaves the interface as it is), and what comes in there
 * and leaves for a pod elsewhere is for CNAT a client of the outside, which gets another source.
 */
export function* pingItems(row: LocalNodeRow, uplinks: readonly TakenUplink[]): Iterable<KeyValue> {
  const addresses = uplinks.flatMap(({ addresses }) => addresses.map((cidr) => cidr.slice(0, cidr.indexOf("/"))));
  const own = addresses.filter(isIpv6).map(hostCidr);
  const rules = row.clusterCIDRs
    .filter(isIpv6)
    .flatMap((src) =>
      own.map((dst): AclRule => ({ action: "permit", src, dst, proto: ICMPV6, icmpType: ECHO_REQUEST })),
    );
  if (rules.length === 0) return;
  const list: AclValue = { name: "pings-6", rules };
  yield item((v) => aclKey(v.name), list);
  const path = { type: "via", interface: HOST_INTERFACE, gateway: HOST_HOP[6] } as const;
  const policy: AbfPolicyValue = { id: ABF_POLICIES.pings, family: 6, acl: list.name, paths: [path] };
  yield item((v) => abfPolicyKey(v.id), policy);
  for (const { link } of uplinks) {
    const attachment = { interface: uplinkInterface(link), policy: policy.id, priority: PRIORITY };
    yield item(abfAttachmentKey, attachment);
  }
}
