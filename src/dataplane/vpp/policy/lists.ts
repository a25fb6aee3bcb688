import { memoByText } from "../../../base/memo/memo.ts";
import type { AclRule, AclValue } from "../../../models/vpp/acl.ts";
import type { Direction, PodPolicyRow, RuleTable } from "../../../policy/api.ts";
import { hostCidr, isIpv6 } from "../item.ts";
import { COMMON_LISTS, NOT_THE_NODE_LIST, selfList, tableList } from "./names.ts";
import type { Prefix } from "./prefix.ts";
import { isWholeProtocol, type Ports, portsText, type Run } from "./runs.ts";

/** IANA's numbers. */
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;
const ICMP = 1;
const ICMPV6 = 58;
export const ANY = { 4: "0.0.0.0/0", 6: "::/0" } as const;

/** A connection begun by what is permitted goes on, both ways, whatever the lists of the other direction say. */
const PERMIT = "permit+reflect";

/** The list of a table's runs. What is not of this list alone is made once, and rules that stay are the same objects. */
export function tableAcl({ id, direction }: RuleTable, runs: readonly Run[]): AclValue {
  const none: readonly AclRule[] = [];
  return { name: tableList(id), rules: none.concat(...runs.map((run) => rulesOf(run, direction))) };
}

function rulesOf({ verdict, networks, ports }: Run, direction: Direction): readonly AclRule[] {
  const kind = `${direction} ${verdict} ${portsText(ports)}`;
  return networks.rules(kind, (prefix) => ruleOf(prefix, kind, { direction, verdict, ports }));
}

interface RuleKind {
  readonly direction: Direction;
  readonly verdict: Run["verdict"];
  readonly ports: Ports | undefined;
}

const ruleOf = memoByText((prefix: Prefix, _: string, { direction, verdict, ports }: RuleKind): AclRule => {
  const peer = prefix.text;
  const any = ANY[prefix.family];
  const ends = direction === "egress" ? { src: any, dst: peer } : { src: peer, dst: any };
  return { action: verdict === "accept" ? PERMIT : "deny", ...ends, ...(ports ? servicesOf(ports) : {}) };
});

function servicesOf(ports: Ports): Pick<AclRule, "dstPorts" | "proto"> {
  const proto = PROTOCOLS[ports.protocol];
  return isWholeProtocol(ports) ? { proto } : { proto, dstPorts: [ports.first, ports.last] };
}

/**
 * What stands before all tables of a direction. The plugin does not know errors of ICMP for those of a connection, and
 * neighbour discovery is nobody's connection. Without reflection: they are nothing that would be answered.
 */
export function commonAcl(direction: Direction, nodeAddresses: readonly string[]): AclValue {
  const icmp = { action: "permit", src: ANY[4], dst: ANY[4], proto: ICMP } as const;
  const icmpv6 = { action: "permit", src: ANY[6], dst: ANY[6], proto: ICMPV6 } as const;
  const rules: AclRule[] = [
    // Destination unreachable, time exceeded, parameter problem (RFC 792).
    ...([3, 11, 12] as const).map((type): AclRule => ({ ...icmp, icmpType: [type, type] })),
    // All errors (RFC 4443), and neighbour discovery (RFC 4861).
    { ...icmpv6, icmpType: [1, 4] },
    { ...icmpv6, icmpType: [133, 137] },
    // The plugin sees no ports of SCTP, and would let everything pass between addresses that have a session: all of it is
    // judged behind it (sctp.ts).
    ...([4, 6] as const).map((f): AclRule => ({ action: "permit", src: ANY[f], dst: ANY[f], proto: PROTOCOLS.SCTP })),
  ];
  // The pod's own node is never kept from it.
  const node = direction === "ingress" ? nodeAddresses : [];
  const own = node.map((ip): AclRule => ({ action: PERMIT, src: hostCidr(ip), dst: ANY[isIpv6(ip) ? 6 : 4] }));
  return { name: COMMON_LISTS[direction], rules: [...rules, ...own] };
}

/** VPP warns of empty lists. */
const NOBODY: readonly AclRule[] = [{ action: "deny", src: ANY[4], dst: "255.255.255.255/32" }];

/** A pod reaches itself, also by a service. */
export function selfAcl({ id, ips }: PodPolicyRow): AclValue {
  const rules = ips.flatMap((from) => {
    const own = ips.filter((to) => isIpv6(to) === isIpv6(from));
    return own.map((to): AclRule => ({ action: PERMIT, src: hostCidr(from), dst: hostCidr(to) }));
  });
  return { name: selfList(id), rules: rules.length > 0 ? rules : NOBODY };
}

/** Nothing comes from another machine that has an address of the node, or of one of its pods. */
export function notTheNodeAcl(nodeAddresses: readonly string[], podCIDRs: readonly string[]): AclValue {
  const spoofed = [...nodeAddresses.map(hostCidr), ...podCIDRs].map(
    (src): AclRule => ({ action: "deny", src, dst: ANY[isIpv6(src) ? 6 : 4] }),
  );
  const rest = ([4, 6] as const).map((f): AclRule => ({ action: "permit", src: ANY[f], dst: ANY[f] }));
  return { name: NOT_THE_NODE_LIST, rules: [...spoofed, ...rest] };
}
