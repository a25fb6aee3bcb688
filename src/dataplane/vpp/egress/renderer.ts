import type { IpAddress } from "../../../base/ip/address.ts";
import { cidrContains, parseNetwork } from "../../../base/ip/cidr.ts";
import type { EgressState } from "../../../egress/api.ts";
import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { type AbfPolicyValue, abfAttachmentKey, abfPolicyKey } from "../../../models/vpp/abf.ts";
import { type AclRule, type AclValue, aclKey } from "../../../models/vpp/acl.ts";
import type { RoutePath } from "../../../models/vpp/l3.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";
import { egressBase } from "../../linux/egress/base.ts";
import { egressElements, type Lead } from "../../linux/egress/renderer.ts";
import type { TakenUplink } from "../api.ts";
import { hostCidr, isIpv6, item } from "../item.ts";
import {
  ABF_POLICIES,
  BVI_INTERFACE,
  HOST_HOP,
  HOST_INTERFACE,
  SEGMENT_IN_INTERFACE,
  uplinkInterface,
} from "../names.ts";

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
const EVERYTHING = { 4: "0.0.0.0/0", 6: "::/0" } as const;
/** Behind those of services and pings. */
const PRIORITY = 2;

/**
 * What pods send to the outside passes the host, whose kernel does what it does on the Linux dataplane: it translates, or drops.
 * What another node is to translate comes back from the host as it is, and a list of these pods leads it there. What other
 * nodes' pods send to the outside is led to the host.
 */
export function* renderEgress(state: EgressState, uplinks: readonly TakenUplink[]): Iterable<KeyValue> {
  yield* egressBase({ seesAnswers: false });
  yield* egressElements(state, (gateway, family) => leadBy(gateway, family, state, uplinks));
  const { local, peerCIDRs, rows } = state;
  const outer = uplinks.map(({ link }) => uplinkInterface(link));
  const inward = local.overlay.kind === "vxlan" ? [BVI_INTERFACE] : outer;
  for (const family of FAMILIES) {
    const host = { type: "via", interface: HOST_INTERFACE, gateway: HOST_HOP[family] } as const;
    const policy = { id: ABF_POLICIES.egressIn[family], acl: `egress-in-${family}`, family, path: host };
    yield* led({ ...policy, from: peerCIDRs, at: inward, state });
    if (local.masquerade) continue;
    // Then pods' packets to the outside don't pass the host: those of such namespaces do when they have been cut.
    const out = { id: ABF_POLICIES.egressOut[family], acl: `egress-out-${family}`, family, path: host };
    const own = rows.map(({ pod }) => pod).filter((pod) => isOwn(pod, local));
    yield* led({ ...out, from: own.map(hostCidr), at: [SEGMENT_IN_INTERFACE], state, priority: 0 });
  }
}

/** To another node, for all pods that it translates; undefined where it can't be reached by the family. */
function leadBy(
  gateway: PeerRow,
  family: Family,
  state: EgressState,
  uplinks: readonly TakenUplink[],
): Lead | undefined {
  const isOfFamily = (ip: string): boolean => isIpv6(ip) === (family === 6);
  const { overlay, uplinks: own } = state.local;
  const isOverlay = overlay.kind === "vxlan";
  const hop = (isOverlay ? gateway.vtepIps : gateway.underlayIps).find(isOfFamily);
  const link = own.find(({ address }) => isOfFamily(address))?.link ?? uplinks[0]?.link;
  const pods = state.rows.flatMap(({ pod, way }) => (way.to === "peer" && way.peer === gateway.name ? [pod] : []));
  if (hop === undefined || link === undefined || !pods.some(isOfFamily)) return undefined;
  const path = { type: "via", interface: isOverlay ? BVI_INTERFACE : uplinkInterface(link), gateway: hop } as const;
  const id = ABF_POLICIES.firstOfGateways + 2 * gateway.id + (family === 6 ? 1 : 0);
  const acl = `egress-${gateway.id}-${family}`;
  return { items: led({ id, acl, family, path, from: pods.map(hostCidr), at: [HOST_INTERFACE], state }) };
}

interface Led {
  /** The policy's number. */
  readonly id: number;
  readonly acl: string;
  readonly family: Family;
  readonly path: RoutePath;
  /** Where it comes from, of any family. */
  readonly from: readonly string[];
  /** Interfaces that it comes in by. */
  readonly at: readonly string[];
  readonly state: EgressState;
  readonly priority?: number;
}

/** What goes to the outside takes a path. Nothing where nothing is of the family. */
function led({ id, acl, family, path, from, at, state, priority = PRIORITY }: Led): KeyValue[] {
  const isOfFamily = (cidr: string): boolean => isIpv6(cidr) === (family === 6);
  const any = EVERYTHING[family];
  const sources = from.filter(isOfFamily).map((src): AclRule => ({ action: "permit", src, dst: any }));
  if (sources.length === 0) return [];
  const inside = [...state.local.clusterCIDRs, ...state.kept].filter(isOfFamily);
  const list: AclValue = {
    name: acl,
    rules: [...inside.map((dst): AclRule => ({ action: "deny", src: any, dst })), ...sources],
  };
  const policy: AbfPolicyValue = { id, family, acl, paths: [path] };
  const attached = at.map((name) => item(abfAttachmentKey, { interface: name, policy: id, priority }));
  return [item((v) => aclKey(v.name), list), item((v) => abfPolicyKey(v.id), policy), ...attached];
}

const isOwn = (pod: IpAddress, { podCIDRs }: LocalNodeRow): boolean =>
  podCIDRs.some((cidr) => cidrContains(parseNetwork(cidr), pod));
