import type { Key, KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import { CnatProto, type CnatTranslationValue, cnatTranslationKey } from "../../../models/vpp/cnat.ts";
import type { HostPort, PodRow } from "../../../pods/api.ts";
import { hairpinItem, hostPortItems as kernelHostPortItems } from "../../linux/pods/host-ports.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import { HOST_HOP, HOST_INTERFACE, SEGMENT_HOP, SEGMENT_OUT_INTERFACE } from "../names.ts";
import { podPolicy } from "../nodes/outside.ts";

/** IANA's numbers. */
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const;

/**
 * Ports of the node that lead to the pod: for what reaches VPP, pods' and the outside's connections, as translations of the
 * node's own addresses; for the node's own processes, whose packets never do before they are translated, in the kernel.
 */
export function* hostPortItems(row: PodRow, nodeIps: readonly string[]): Iterable<KeyValue> {
  yield* kernelHostPortItems(row);
  if (row.hostPorts.length > 0) for (const ip of row.ips) yield hairpinItem(ip);
  const seen = new Set<Key>();
  for (const port of specificFirst(row.hostPorts)) {
    for (const ip of row.ips) {
      for (const address of addressesOf(port, nodeIps)) {
        if (isIpv6(address) !== isIpv6(ip) || !isTranslated(port, ip)) continue;
        const value: CnatTranslationValue = {
          address,
          port: port.hostPort,
          proto: port.protocol,
          real: true,
          balance: "default",
          hash: "connection",
          backends: [{ address: ip, port: port.containerPort }],
        };
        const translation = item(cnatTranslationKey, value);
        if (seen.has(translation.key)) continue;
        seen.add(translation.key);
        yield translation;
      }
    }
  }
}

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

/** As in the kernel, a port of one address has precedence over the same port of all of them. */
const specificFirst = (ports: readonly HostPort[]): readonly HostPort[] => ports.toSorted((a, b) => rank(a) - rank(b));
const rank = ({ hostIp }: HostPort): number =>
  hostIp === undefined || hostIp === "0.0.0.0" || hostIp === "::" ? 1 : 0;

/** VPP's CNAT has no SCTP over IPv6. */
const isTranslated = ({ protocol }: HostPort, ip: string): boolean =>
  protocol in CnatProto && !(protocol === "sctp" && isIpv6(ip));

/** Those of the node's addresses that the port is open on. */
function addressesOf({ hostIp }: HostPort, nodeIps: readonly string[]): readonly string[] {
  if (hostIp === undefined) return nodeIps;
  if (hostIp === "0.0.0.0" || hostIp === "::") return nodeIps.filter((ip) => isIpv6(ip) === isIpv6(hostIp));
  return nodeIps.includes(hostIp) ? [hostIp] : [];
}
