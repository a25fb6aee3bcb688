import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import { CnatProto } from "../../../models/vpp/cnat.ts";
import type { HostPort, PodRow } from "../../../pods/api.ts";
import { hairpinItem } from "../../linux/pods/loopback.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { HOST_HOP, HOST_INTERFACE, SEGMENT_HOP, SEGMENT_OUT_INTERFACE } from "../names.ts";
import { podPolicy } from "../nodes/outside.ts";

/** IANA's numbers. */
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

/*
 * Ways of packets to and from host ports on nodes where services are left to others. Where they are not, what leads packets of
 * services leads these, too (../services/forwarding.ts).
 */

/**
 * Replies to whoever came by a port of the node go out as they are, and not by the host: it is VPP that has the connection
 * and gives them the node's address. Those to `inside`, the cluster's networks, take the usual way. What else the pod may send from those ports is not told apart; of SCTP, whose ports
 * VPP's lists don't see, that is all.
 */
export function* hostPortReplyItems(row: PodRow, inside: readonly string[]): Iterable<KeyValue> {
  for (const ip of row.ips) {
    const family = isIpv6(ip) ? 6 : 4;
    const ports = row.hostPorts.filter((port) => isTranslated(port, ip));
    if (ports.length === 0) continue;
    const kept = inside
      .filter((cidr) => isIpv6(cidr) === (family === 6))
      .map((dst): AclRule => ({ action: "deny", src: family === 6 ? "::/0" : "0.0.0.0/0", dst }));
    const replies = ports.map(({ protocol, containerPort }): AclRule => {
      const any = { action: "permit", src: hostCidr(ip), dst: family === 6 ? "::/0" : "0.0.0.0/0" } as const;
      const proto = PROTOCOLS[protocol];
      return protocol === "sctp" ? { ...any, proto } : { ...any, proto, srcPorts: [containerPort, containerPort] };
    });
    const list: AclValue = { name: `replies-${row.hostIf}-${family}`, rules: [...kept, ...replies] };
    yield item((v) => aclKey(v.name), list);
    const policy: AbfPolicyValue = {
      id: podPolicy(row.hostIf, "replies", family),
      family,
      acl: list.name,
      paths: [{ type: "via", interface: SEGMENT_OUT_INTERFACE, gateway: SEGMENT_HOP[family] }],
    };
    yield item((v) => abfPolicyKey(v.id), policy);
    yield item(abfAttachmentKey, { interface: row.hostIf, policy: policy.id, priority: 1 });
  }
}

/**
 * What the pod sends to itself by a port of the node goes by the host, which gives it the node's address: from its own, the pod
 * would take it for a packet gone astray, and would answer itself past the translation.
 */
export function* hostPortHairpinItems(row: PodRow): Iterable<KeyValue> {
  if (row.hostPorts.length > 0) for (const ip of row.ips) yield hairpinItem(ip);
  for (const ip of row.ips) {
    const family = isIpv6(ip) ? 6 : 4;
    if (!row.hostPorts.some((port) => isTranslated(port, ip))) continue;
    const self = hostCidr(ip);
    const list: AclValue = {
      name: `itself-${row.hostIf}-${family}`,
      rules: [{ action: "permit", src: self, dst: self }],
    };
    yield item((v) => aclKey(v.name), list);
    const policy: AbfPolicyValue = {
      id: podPolicy(row.hostIf, "itself", family),
      family,
      acl: list.name,
      paths: [{ type: "via", interface: HOST_INTERFACE, gateway: HOST_HOP[family] }],
    };
    yield item((v) => abfPolicyKey(v.id), policy);
    yield item(abfAttachmentKey, { interface: row.hostIf, policy: policy.id, priority: 0 });
  }
}

/** VPP's CNAT has no SCTP over IPv6. */
const isTranslated = ({ protocol }: HostPort, ip: string): boolean =>
  protocol in CnatProto && !(protocol === "sctp" && isIpv6(ip));
