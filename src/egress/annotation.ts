import { familyOf, type IpAddress, type IpFamily, isSpecialIp, tryParseIp } from "../base/ip/address.ts";
import { cidrContains, parseNetwork } from "../base/ip/cidr.ts";

/** Of a Namespace: as which addresses its pods are seen outside of the cluster. */
export const EGRESS_ANNOTATION = "heddle.dev/egress-ip";

/** What a namespace asks for: one address for each family at most; or what is wrong with the text. */
export type EgressWish =
  | { readonly addresses: Readonly<Partial<Record<IpFamily, IpAddress>>> }
  | { readonly invalid: string };

/**
 * `192.0.2.9`, `2001:db8::9`, or one of each with a comma between them. `clusterCidrs`: what sees pods' own addresses, where no
 * such address can be.
 */
export function parseEgress(text: string, clusterCidrs: readonly string[]): EgressWish {
  const addresses: Partial<Record<IpFamily, IpAddress>> = {};
  for (const part of text.split(",").map((p) => p.trim())) {
    const ip = tryParseIp(part);
    if (ip === undefined) return { invalid: `${JSON.stringify(part)} is not an IP address` };
    if (isSpecialIp(ip)) return { invalid: `${ip} is no address that a node can be reached at` };
    const inside = clusterCidrs.find((cidr) => cidrContains(parseNetwork(cidr), ip));
    if (inside !== undefined) return { invalid: `${ip} is in ${inside}, which is the cluster's` };
    const family = familyOf(ip);
    if (addresses[family] !== undefined) return { invalid: `there are two IPv${family} addresses` };
    addresses[family] = ip;
  }
  return { addresses };
}
