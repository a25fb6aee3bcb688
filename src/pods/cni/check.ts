import { splitCidr } from "./addresses.ts";
import { CniError } from "./errors.ts";
import { type CniInterface, type CniIp, type CniResult, type CniRoute, findInterface } from "./result.ts";

/** What CHECK must find in the pod: of all that ADD made, the part that the chain's final result still lists. */
export interface ExpectedState {
  /** With the MAC and MTU as the final result has them: a later plugin may have set others. */
  readonly interface: CniInterface;
  readonly ips: readonly CniIp[];
  readonly routes: readonly CniRoute[];
}

/**
 * "The plugin must consult the prevResult to determine the expected interfaces and addresses", and it "must allow for a
 * later chained plugin to have modified networking resources" (SPEC.md section 2, CHECK): what a later plugin took out
 * of the result is not missed, what it added is not ours to judge.
 * @param made what our ADD answered for this attachment.
 * @throws CniError CHECK_FAILED when the final result has neither our interface nor one of our addresses on it, which
 * says that it belongs to another attachment, or that someone has replaced the interface.
 */
export function expectedState(
  prevResult: CniResult,
  made: CniResult,
  attachment: { readonly ifname: string; readonly netns: string },
): ExpectedState {
  const { ifname, netns } = attachment;
  const listed = findInterface(prevResult, ifname, netns);
  if (listed === undefined) {
    const details = `prevResult.interfaces has no ${ifname} in ${netns}, which ADD made`;
    throw new CniError("CHECK_FAILED", "the result of ADD does not list the pod's interface", details);
  }
  const addresses = new Set(listed.ips.map((ip) => canonical(ip.address)));
  const ips = made.ips.filter((ip) => addresses.has(canonical(ip.address)));
  if (ips.length === 0 && made.ips.length > 0) {
    const details = `prevResult.ips has none of ${made.ips.map((ip) => ip.address).join(", ")} on ${ifname}`;
    throw new CniError("CHECK_FAILED", "the result of ADD does not list the pod's addresses", details);
  }
  const routes = new Set(prevResult.routes.map(routeKey));
  return { interface: listed.interface, ips, routes: made.routes.filter((route) => routes.has(routeKey(route))) };
}

/** Two spellings of an address are one address. */
function canonical(cidr: string): string {
  const parts = splitCidr(cidr);
  return parts === undefined ? cidr : `${parts.address}/${parts.prefixLength ?? ""}`;
}

function routeKey(route: CniRoute): string {
  return `${canonical(route.dst)} ${canonical(route.gw ?? "")}`;
}
