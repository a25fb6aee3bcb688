import type { Descriptor } from "../../kvscheduler/api/descriptor.ts";
import { abfAttachmentDescriptor } from "./abf/attachment.ts";
import { abfPolicyDescriptor } from "./abf/policy.ts";
import { aclDescriptors } from "./acl/acl.ts";
import { macipDescriptors } from "./acl/macip.ts";
import { VppMessageUnavailableError } from "./binapi/index.ts";
import { bondMemberDescriptor } from "./bond/member.ts";
import { cnatFeatureDescriptor } from "./cnat/feature.ts";
import { cnatSnatDescriptor, cnatSnatExcludeDescriptor, cnatSnatInterfaceDescriptor } from "./cnat/snat.ts";
import { cnatTranslationDescriptor } from "./cnat/translation.ts";
import { dhcpClientDescriptor } from "./dhcp/client.ts";
import { flowFilterDescriptor } from "./flow-filter/descriptor.ts";
import { FlowFilter } from "./flow-filter/filter.ts";
import { interfaceDescriptor } from "./interface/descriptor.ts";
import { gsoDescriptor } from "./interface/gso.ts";
import { memifSocketDescriptor } from "./interface/memif-socket.ts";
import { interfaceUpDescriptor } from "./interface/up.ts";
import { ipsecProtectionDescriptor } from "./ipsec/protection.ts";
import { ipsecSaDescriptor } from "./ipsec/sa.ts";
import { bridgeDomainDescriptor } from "./l2/bridge-domain.ts";
import { l2FibDescriptor } from "./l2/fib.ts";
import { l2PortDescriptor } from "./l2/port.ts";
import { unnumberedDescriptor, vppAddressDescriptor } from "./l3/address.ts";
import { interfaceVrfDescriptor } from "./l3/interface-vrf.ts";
import { vppNeighbourDescriptor } from "./l3/neighbour.ts";
import { vppRouteDescriptor, vrfDescriptor } from "./l3/route.ts";
import { l3CrossConnectDescriptor } from "./l3xc/l3xc.ts";
import { nat44DnatDescriptor } from "./nat/dnat.ts";
import { nat44AddressDescriptor, nat44Descriptor, nat44InterfaceDescriptor } from "./nat/global.ts";
import { nat44IdentityDescriptor } from "./nat/identity.ts";
import { policerDescriptor } from "./policer/descriptor.ts";
import { proxyArpInterfaceDescriptor, proxyArpRangeDescriptor } from "./proxy/arp.ts";
import { proxyNdDescriptor, proxyNdInterfaceDescriptor } from "./proxy/nd.ts";
import { puntRedirectDescriptor } from "./punt/redirect.ts";
import { puntUnknownUdpDescriptor } from "./punt/unknown-udp.ts";
import { rxQueueDescriptor } from "./rx-queue/rx-queue.ts";
import { sctpDescriptor } from "./sctp/descriptor.ts";
import { SctpFilter } from "./sctp/filter.ts";
import type { VppSession } from "./session/session.ts";
import { spanDescriptor } from "./span/span.ts";
import { srv6LocalSidDescriptor } from "./srv6/localsid.ts";
import { srv6PolicyDescriptor } from "./srv6/policy.ts";
import { srv6SteeringDescriptor } from "./srv6/steering.ts";
import { stnRuleDescriptor } from "./stn/stn.ts";
import { sourceCheckDescriptor } from "./urpf/descriptor.ts";
import { wireguardPeerDescriptor } from "./wireguard/peer.ts";

/** Everything that can be configured in one VPP. `filter`: of flows that are stopped. */
export function vppDescriptors(session: VppSession, filter = new FlowFilter(session)): readonly Descriptor<never>[] {
  const needed = [...interfaces(session), ...forwarding(session), ...policies(session, filter)];
  const further = [
    sourceCheckDescriptor(session),
    ...segmentRouting(session),
    ...translation(session),
    ...tunnels(session),
    ...helpers(session),
  ];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- of any values: the scheduler knows them by their keys
  const all = [...needed, ...(further as unknown as readonly Descriptor[]).map(nothingWithoutPlugin)];
  return all as unknown as readonly Descriptor<never>[];
}

const interfaces = (session: VppSession) => [
  interfaceDescriptor(session),
  memifSocketDescriptor(session),
  interfaceUpDescriptor(session),
  gsoDescriptor(session),
];

const forwarding = (session: VppSession) => [
  bridgeDomainDescriptor(session),
  l2PortDescriptor(session),
  l2FibDescriptor(session),
  vrfDescriptor(session),
  interfaceVrfDescriptor(session),
  vppAddressDescriptor(session),
  unnumberedDescriptor(session),
  vppRouteDescriptor(session),
  vppNeighbourDescriptor(session),
];

function policies(session: VppSession, filter: FlowFilter) {
  const acl = aclDescriptors(session);
  const sctp = new SctpFilter(session, () => filter.chains());
  return [
    acl.acl,
    acl.aclInterface,
    flowFilterDescriptor(session, filter, sctp),
    sctpDescriptor(sctp),
    abfPolicyDescriptor(session),
    abfAttachmentDescriptor(session),
    policerDescriptor(session),
    puntRedirectDescriptor(session),
    puntUnknownUdpDescriptor(session),
    cnatTranslationDescriptor(session),
    cnatSnatDescriptor(session),
    cnatSnatExcludeDescriptor(session),
    cnatSnatInterfaceDescriptor(session),
    cnatFeatureDescriptor(session),
  ];
}

const segmentRouting = (session: VppSession) => [
  l3CrossConnectDescriptor(session),
  srv6LocalSidDescriptor(session),
  srv6PolicyDescriptor(session),
  srv6SteeringDescriptor(session),
];

const translation = (session: VppSession) => [
  nat44Descriptor(session),
  nat44InterfaceDescriptor(session),
  nat44AddressDescriptor(session),
  nat44DnatDescriptor(session),
  nat44IdentityDescriptor(session),
];

const tunnels = (session: VppSession) => [
  bondMemberDescriptor(session),
  ipsecSaDescriptor(session),
  ipsecProtectionDescriptor(session),
  wireguardPeerDescriptor(session),
];

function helpers(session: VppSession) {
  const macip = macipDescriptors(session);
  return [
    macip.macip,
    macip.macipInterface,
    proxyArpRangeDescriptor(session),
    proxyArpInterfaceDescriptor(session),
    proxyNdDescriptor(session),
    proxyNdInterfaceDescriptor(session),
    dhcpClientDescriptor(session),
    rxQueueDescriptor(session),
    spanDescriptor(session),
    stnRuleDescriptor(session),
  ];
}

/** A VPP without the plugin, or with another shape of its messages, has nothing of its kind; who wants some is told so. */
function nothingWithoutPlugin(descriptor: Descriptor): Descriptor {
  if (!descriptor.retrieve) return descriptor;
  return {
    ...descriptor,
    async retrieve(correlate, ctx) {
      try {
        return (await descriptor.retrieve?.(correlate, ctx)) ?? [];
      } catch (e) {
        if (e instanceof VppMessageUnavailableError) return [];
        throw e;
      }
    },
  };
}
