import { familyOf, type IpAddress, type IpFamily } from "../../base/ip/address.ts";
import {
  type Cidr,
  cidrContains,
  cidrContainsCidr,
  compareCidr,
  formatCidr,
  hostCidr,
  networkOf,
} from "../../base/ip/cidr.ts";
import type { Service } from "../../models/k8s/service.ts";
import { type Here, tryNetwork } from "../index/here.ts";
import type { ServiceProblem } from "../problems.ts";

/** Who may use a load balancer's addresses of a family; undefined: everyone. */
export type SourcesOf = (family: IpFamily) => readonly string[] | undefined;

const AT = "spec.loadBalancerSourceRanges";

/**
 * As kube-proxy has it, ranges of one family don't restrict clients of the other. Ranges none of which is a network let
 * nobody in: somebody wanted to restrict, and it is not known how.
 */
export function sourcesOf(service: Service, here: Here, problems: ServiceProblem[]): SourcesOf {
  if (service.sourceRanges.length === 0) return () => undefined;
  const ranges = service.sourceRanges.flatMap((text): Cidr[] => {
    const found = tryNetwork(text);
    const message = `${JSON.stringify(text)} is no network`;
    if (!found) problems.push({ code: "BAD_NETWORK", at: AT, message, effect: "part-ignored" });
    return found ? [found] : [];
  });
  for (const family of [4, 6] as const) {
    const vips = vipsOf(service, family);
    if (vips.length === 0 || ranges.length === 0 || ranges.some((r) => r.family === family)) continue;
    const message = `there is no IPv${family} range, so IPv${family} clients of ${vips.join(", ")} are not restricted`;
    problems.push({ code: "UNRESTRICTED_FAMILY", at: AT, message, effect: "none" });
  }
  const of = (family: IpFamily): readonly string[] | undefined => {
    if (ranges.length === 0) return [];
    const own = ranges.filter((r) => r.family === family);
    if (own.length === 0) return undefined;
    // A node that has the VIP as a local address sends with it as source: who may come from this node may come so, too.
    const primary = here.primary(family);
    const isNodeIn = primary !== undefined && own.some((r) => cidrContains(r, primary));
    const all = isNodeIn ? [...own, ...vipsOf(service, family).map(hostCidr)] : own;
    const apart = disjoint(all.map(networkOf));
    return apart.some((r) => r.prefix === 0) ? undefined : apart.map(formatCidr);
  };
  const [v4, v6] = [of(4), of(6)];
  return (family) => (family === 4 ? v4 : v6);
}

const vipsOf = (service: Service, family: IpFamily): IpAddress[] =>
  service.loadBalancerIps.filter((ip) => familyOf(ip) === family);

/** Sorted, without those that are in others. */
function disjoint(networks: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = [];
  for (const network of networks.toSorted(compareCidr)) {
    const last = kept.at(-1);
    if (!last || !cidrContainsCidr(last, network)) kept.push(network);
  }
  return kept;
}
