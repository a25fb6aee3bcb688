import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import type { PortProtocol } from "../../../services/api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { ABF_POLICIES, SEGMENT_HOP, SEGMENT_OUT_INTERFACE } from "../names.ts";

/** Behind those of the pod itself, before that to the outside. */
const PRIORITIES = { serviceReplies: 2, services: 3 } as const;
const EVERYTHING = { 4: "0.0.0.0/0", 6: "::/0" } as const;
/** IANA's numbers. */
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

const LISTS = { services: "services", serviceReplies: "service-replies", serviceGuard: "service-guard" } as const;

/** A pod on this node that clients outside of the cluster are led to. */
export interface ServedEndpoint {
  readonly address: string;
  readonly protocol: PortProtocol;
  readonly port: number;
}

export interface Led {
  /** Networks in which services are. */
  readonly services: readonly string[];
  readonly endpoints: readonly ServedEndpoint[];
  /** Destinations that pods' answers take the usual way to: the cluster's, and the node's own addresses. */
  readonly inside: readonly string[];
}

/**
 * Ways of what pods send that are neither those of the cluster's traffic nor of what goes to the outside, by which the host
 * would get it: what CNAT has left of packets to services is looked up in VPP's own table, which says what becomes of it, and
 * answers to the outside go by where they are cut and not by the host: it is VPP that has the connection, and gives them the
 * service's address. What else a pod may send from the ports that it serves at is not told apart; of SCTP, whose ports VPP's
 * lists don't see, that is all.
 */
export function* forwardingItems({ services, endpoints, inside }: Led): Iterable<KeyValue> {
  for (const family of [4, 6] as const) {
    const ofFamily = <T>(all: readonly T[], of: (one: T) => string): T[] =>
      all.filter((one) => isIpv6(of(one)) === (family === 6));
    const any = EVERYTHING[family];
    const lookedUp = ofFamily(services, (cidr) => cidr).map((dst): AclRule => ({ action: "permit", src: any, dst }));
    yield* policyItems("services", family, lookedUp, { type: "lookup", vrf: 0 });
    const answers = ofFamily(endpoints, ({ address }) => address).map(answerRule);
    const kept = ofFamily(inside, (cidr) => cidr).map((dst): AclRule => ({ action: "deny", src: any, dst }));
    yield* policyItems("serviceReplies", family, answers.length === 0 ? [] : [...kept, ...answers], {
      type: "via",
      interface: SEGMENT_OUT_INTERFACE,
      gateway: SEGMENT_HOP[family],
    });
  }
}

/**
 * Keeps the outside from endpoints elsewhere that only pods are to get at frontends that both use: behind CNAT, which does not
 * tell them apart, packets from other machines to them are dropped.
 */
export function* guardItems(endpoints: readonly ServedEndpoint[], uplinks: readonly string[]): Iterable<KeyValue> {
  for (const family of [4, 6] as const) {
    const rules = endpoints.filter(({ address }) => isIpv6(address) === (family === 6)).map(guardRule);
    // Without one, packets are not looked at.
    if (rules.length === 0) continue;
    yield* policyItems("serviceGuard", family, rules, { type: "drop" });
    const policy = ABF_POLICIES.serviceGuard[family];
    for (const name of uplinks) yield item(abfAttachmentKey, { interface: name, policy, priority: 0 });
  }
}

/** To be applied to what comes from a pod with these addresses. */
export function servicesOf(name: string, ips: readonly string[]): KeyValue[] {
  return ips.flatMap((ip) =>
    (["serviceReplies", "services"] as const).map((what) => {
      const policy = ABF_POLICIES[what][isIpv6(ip) ? 6 : 4];
      return item(abfAttachmentKey, { interface: name, policy, priority: PRIORITIES[what] });
    }),
  );
}

function answerRule({ address, protocol, port }: ServedEndpoint): AclRule {
  const rule = { action: "permit", src: hostCidr(address), dst: EVERYTHING[isIpv6(address) ? 6 : 4] } as const;
  const proto = PROTOCOLS[protocol];
  return protocol === "SCTP" ? { ...rule, proto } : { ...rule, proto, srcPorts: [port, port] };
}

function guardRule({ address, protocol, port }: ServedEndpoint): AclRule {
  const rule = { action: "permit", src: EVERYTHING[isIpv6(address) ? 6 : 4], dst: hostCidr(address) } as const;
  const proto = PROTOCOLS[protocol];
  return protocol === "SCTP" ? { ...rule, proto } : { ...rule, proto, dstPorts: [port, port] };
}

function* policyItems(
  what: keyof typeof LISTS,
  family: 4 | 6,
  rules: readonly AclRule[],
  path: AbfPolicyValue["paths"][number],
): Iterable<KeyValue> {
  const list: AclValue = { name: listName(what, family), rules: rules.length > 0 ? rules : [nobody(family)] };
  yield item((v) => aclKey(v.name), list);
  const policy: AbfPolicyValue = { id: ABF_POLICIES[what][family], family, acl: list.name, paths: [path] };
  yield item((v) => abfPolicyKey(v.id), policy);
}

const listName = (what: keyof typeof LISTS, family: 4 | 6): string => `${LISTS[what]}-${family}`;

/** By which answers of pods to the outside are known. */
export const repliesList = (family: 4 | 6): string => listName("serviceReplies", family);

/** VPP warns of empty lists. */
const nobody = (family: 4 | 6): AclRule => {
  const none = family === 4 ? "255.255.255.255/32" : "::/128";
  return { action: "permit", src: none, dst: none };
};
