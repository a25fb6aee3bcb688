import type { Descriptor } from "../../kvscheduler/api/descriptor.ts";
import { abfAttachmentDescriptor } from "./abf/attachment.ts";
import { abfPolicyDescriptor } from "./abf/policy.ts";
import { aclDescriptors } from "./acl/acl.ts";
import { cnatFeatureDescriptor } from "./cnat/feature.ts";
import { cnatSnatDescriptor, cnatSnatExcludeDescriptor, cnatSnatInterfaceDescriptor } from "./cnat/snat.ts";
import { cnatTranslationDescriptor } from "./cnat/translation.ts";
import { interfaceDescriptor } from "./interface/descriptor.ts";
import { gsoDescriptor } from "./interface/gso.ts";
import { memifSocketDescriptor } from "./interface/memif-socket.ts";
import { interfaceUpDescriptor } from "./interface/up.ts";
import { bridgeDomainDescriptor } from "./l2/bridge-domain.ts";
import { l2FibDescriptor } from "./l2/fib.ts";
import { l2PortDescriptor } from "./l2/port.ts";
import { unnumberedDescriptor, vppAddressDescriptor } from "./l3/address.ts";
import { interfaceVrfDescriptor } from "./l3/interface-vrf.ts";
import { vppNeighbourDescriptor } from "./l3/neighbour.ts";
import { vppRouteDescriptor, vrfDescriptor } from "./l3/route.ts";
import { policerDescriptor } from "./policer/descriptor.ts";
import { puntRedirectDescriptor } from "./punt/redirect.ts";
import { puntUnknownUdpDescriptor } from "./punt/unknown-udp.ts";
import type { VppSession } from "./session/session.ts";

/** Everything that can be configured in one VPP. */
export function vppDescriptors(session: VppSession): readonly Descriptor<never>[] {
  const acl = aclDescriptors(session);
  return [
    interfaceDescriptor(session),
    memifSocketDescriptor(session),
    interfaceUpDescriptor(session),
    gsoDescriptor(session),
    bridgeDomainDescriptor(session),
    l2PortDescriptor(session),
    l2FibDescriptor(session),
    vrfDescriptor(session),
    interfaceVrfDescriptor(session),
    vppAddressDescriptor(session),
    unnumberedDescriptor(session),
    vppRouteDescriptor(session),
    vppNeighbourDescriptor(session),
    acl.acl,
    acl.aclInterface,
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
  ] as unknown as readonly Descriptor<never>[];
}
