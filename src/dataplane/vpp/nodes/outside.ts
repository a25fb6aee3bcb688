import { createHash } from "node:crypto";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { HOST_LINK, type SysctlValue, sysctlKey } from "../../../models/linux.ts";
import { type NftChainValue, nftChainKey } from "../../../models/nft.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import type { LocalNodeRow } from "../../../nodes/api.ts";
import { SETS } from "../../linux/nodes/nft-base.ts";
import { ipv6Forwarding } from "../../linux/nodes/renderer.ts";
import type { TakenUplink } from "../api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { ABF_POLICIES, HOST_HOP, HOST_INTERFACE, SEGMENT_HOP, SEGMENT_OUT_INTERFACE } from "../names.ts";

const POLICY = ABF_POLICIES.outside;
/** Behind those of the pod itself. */
const PRIORITY = 100;

/** Destinations that have no source translated, in any cluster. */
const NEVER = { 4: ["169.254.0.0/16", "224.0.0.0/4"], 6: ["fe80::/10", "ff00::/8"] } as const;
const EVERYTHING = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/**
 * What leaves the cluster goes by the host, whose kernel translates its source, or not, and cuts it into packets. VPP's CNAT
 * gives an ICMPv6 echo a new identifier and does not know the answer by it (cnat_output_feature_new_flow_inline sees to that
 * for ICMP alone), loses TCP connections over IPv6 to "no more free ports" while there are thousands, and drops what reaches
 * the address it translates to and is no answer.
 */
export function* outsideItems(row: LocalNodeRow, uplinks: readonly TakenUplink[]): Iterable<KeyValue> {
  yield* forwardingItems(row);
  const own = uplinks.flatMap(({ addresses }) => addresses.map((cidr) => hostCidr(cidr.slice(0, cidr.indexOf("/")))));
  for (const family of [4, 6] as const) {
    const isOfFamily = (cidr: string): boolean => isIpv6(cidr) === (family === 6);
    const pods = row.podCIDRs.filter(isOfFamily);
    if (pods.length === 0) continue;
    const any = EVERYTHING[family];
    const kept = [...[...row.clusterCIDRs, ...own].filter(isOfFamily), ...NEVER[family]];
    const rules: AclRule[] = [
      ...kept.map((dst): AclRule => ({ action: "deny", src: any, dst })),
      ...pods.map((src): AclRule => ({ action: "permit", src, dst: any })),
    ];
    const list: AclValue = { name: `outside-${family}`, rules };
    yield item((v) => aclKey(v.name), list);
    const path = row.masquerade
      ? ({ type: "via", interface: HOST_INTERFACE, gateway: HOST_HOP[family] } as const)
      : ({ type: "via", interface: SEGMENT_OUT_INTERFACE, gateway: SEGMENT_HOP[family] } as const);
    const policy: AbfPolicyValue = { id: POLICY[family], family, acl: list.name, paths: [path] };
    yield item((v) => abfPolicyKey(v.id), policy);
  }
}

/** To be applied to what comes from a pod with these addresses. */
export function outsideOf(name: string, ips: readonly string[]): KeyValue[] {
  return ips.map((ip) =>
    item(abfAttachmentKey, { interface: name, policy: POLICY[isIpv6(ip) ? 6 : 4], priority: PRIORITY }),
  );
}

/** The host sends on by the link that it got something by, and would tell pods of the shorter way each time. */
function* forwardingItems(row: LocalNodeRow): Iterable<KeyValue> {
  if (row.podCIDRs.some((cidr) => !isIpv6(cidr))) {
    const forwarding: SysctlValue = { name: "net/ipv4/conf/all/forwarding", value: "1", after: [] };
    yield item((v) => sysctlKey(v.name), forwarding);
  }
  if (row.podCIDRs.some(isIpv6)) yield* ipv6Forwarding(row);
  const quiet: NftChainValue = {
    name: "no_redirects",
    hook: { type: "filter", hook: "output", priority: 0 },
    rules: [`oifname "${HOST_LINK}" icmp type redirect drop`, `oifname "${HOST_LINK}" icmpv6 type nd-redirect drop`],
    uses: [],
    jumps: [],
  };
  yield item((v) => nftChainKey(v.name), quiet);
  // What a pod has sent to itself by a port of the node, which VPP has translated.
  const itself: NftChainValue = {
    name: "to_itself",
    hook: { type: "nat", hook: "postrouting", priority: 100 },
    rules: (["ip", "ip6"] as const).map(
      (ip) => `oifname "${HOST_LINK}" ${ip} saddr . ${ip} daddr @${SETS.hairpin[ip === "ip" ? 4 : 6]} masquerade`,
    ),
    uses: Object.values(SETS.hairpin),
    jumps: [],
  };
  yield item((v) => nftChainKey(v.name), itself);
}

/** The number of a policy of a pod's own; two of a node that get the same by chance are refused the second. */
export function podPolicy(hostIf: string, of: "itself" | "replies", family: 4 | 6): number {
  const digest = createHash("sha256").update(`${hostIf}/${of}/${family}`).digest();
  return ABF_POLICIES.firstOfPods + (digest.readUInt32BE() & 0x7fff_ffff);
}
