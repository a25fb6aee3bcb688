import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { GATEWAY_IPV4, GATEWAY_IPV6, HOST_LINK, type RouteValue } from "../../../models/linux.ts";
import { type NftChainValue, nftChainKey } from "../../../models/nft.ts";
import type { Client } from "../../../services/api.ts";
import { serviceBase } from "../../linux/services/base.ts";
import { MASQUERADE_MARK, markText, SERVICE_MARK } from "../../linux/services/names.ts";
import { isIpv6, item } from "../item.ts";
import type { ServiceNodeContext } from "./renderer.ts";

/**
 * Clients that the host's kernel serves: the node's own processes, whose packets never reach VPP as they are; and the outside,
 * of what VPP leaves to the host.
 */
export const HOST_CLIENTS: readonly Client[] = ["node", "outside"];

const FAMILIES = [4, 6] as const;
/** Before service_snat (89). */
const BEFORE_SOURCES = 88;
const SERVICE = `ct mark & ${markText(SERVICE_MARK)} == ${markText(SERVICE_MARK)}`;

/** Services of the node's own processes, and of clients that VPP leaves to the host. */
export function* hostServiceBase({ podCIDRs, clusterCIDRs, gateways }: ServiceNodeContext): Iterable<KeyValue> {
  yield* serviceBase(HOST_CLIENTS);
  const rules: string[] = [];
  const refused: string[] = [];
  for (const family of FAMILIES) {
    const ip = family === 4 ? "ip" : "ip6";
    const of = (cidrs: readonly string[]): string[] => cidrs.filter((cidr) => isIpv6(cidr) === (family === 6));
    const [own, cluster] = [of(podCIDRs), of(clusterCIDRs)];
    const [gateway] = of(gateways);
    for (const cidr of own) {
      // The pod's policies would take an address of its node's for the node itself, and its answers come by here anyway.
      const masquerade = markText(MASQUERADE_MARK);
      const keep = `ct mark set ct mark & ${markText(~MASQUERADE_MARK >>> 0)}`;
      rules.push(`iifname "${HOST_LINK}" ${ip} daddr ${cidr} ct mark & ${masquerade} == ${masquerade} ${keep}`);
      // Its answers would not.
      refused.push(
        `iifname "${HOST_LINK}" oifname "${HOST_LINK}" ${ip} saddr ${cidr} ct direction original ct status dnat ${SERVICE} drop`,
      );
    }
    // Answers from other nodes come by the overlay only to the address inside it.
    for (const cidr of cluster) {
      if (gateway === undefined) continue;
      const masquerade = markText(MASQUERADE_MARK);
      const marked = `ct status dnat ct mark & ${masquerade} == ${masquerade}`;
      rules.push(`${marked} oifname "${HOST_LINK}" ${ip} daddr ${cidr} snat ${ip} to ${gateway}`);
    }
  }
  const inside: NftChainValue = {
    name: "service_inside",
    hook: { type: "nat", hook: "postrouting", priority: BEFORE_SOURCES },
    rules,
    uses: [],
    jumps: [],
  };
  yield item((v) => nftChainKey(v.name), inside);
  const pods: NftChainValue = {
    name: "service_pods",
    hook: { type: "filter", hook: "forward", priority: 0 },
    rules: refused,
    uses: [],
    jumps: [],
  };
  yield item((v) => nftChainKey(v.name), pods);
}

/** By which the node's own processes find a source that everybody answers to. */
export function hostServiceRoute(dst: string, source: string): RouteValue {
  const gateway = isIpv6(dst) ? GATEWAY_IPV6 : GATEWAY_IPV4;
  return { link: HOST_LINK, end: "node", type: "unicast", dst, gateway, onLink: true, source };
}
