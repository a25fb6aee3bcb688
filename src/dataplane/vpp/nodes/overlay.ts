import type { KeyValue } from "../../../kvscheduler/api/descriptor.ts";
import { interfaceKey, interfaceUpKey, type LoopbackValue, type VxlanValue } from "../../../models/vpp/interface.ts";
import {
  type BridgeDomainValue,
  type BridgeMemberValue,
  bridgeDomainKey,
  bridgeMemberKey,
  type L2FibValue,
  l2FibKey,
} from "../../../models/vpp/l2.ts";
import { unnumberedKey, vppNeighbourKey } from "../../../models/vpp/l3.ts";
import type { LocalNodeRow, PeerRow } from "../../../nodes/api.ts";
import { isIpv6, item } from "../item.ts";
import { BVI_INTERFACE, GATEWAY_INTERFACE, OVERLAY_BRIDGE, tunnelInterface } from "../names.ts";
import { routeInPackets } from "./segments.ts";

type Vxlan = Extract<LocalNodeRow["overlay"], { kind: "vxlan" }>;

/**
 * A bridge domain that neither floods nor learns: each node's end of the overlay is a static entry, and VPP routes into it
 * by its own end. Linux nodes have the same frames on the wire.
 */
export function* overlayItems(overlay: Vxlan): Iterable<KeyValue> {
  const bridge: BridgeDomainValue = {
    id: OVERLAY_BRIDGE,
    name: "overlay",
    flood: false,
    uuFlood: false,
    forward: true,
    learn: false,
    arpTerm: false,
    macAge: 0,
  };
  yield item((v) => bridgeDomainKey(v.id), bridge);
  const { mac, mtu } = overlay;
  const bvi: LoopbackValue = { kind: "loopback", name: BVI_INTERFACE, mac, mtu };
  yield { key: interfaceKey(BVI_INTERFACE), value: bvi };
  const member: BridgeMemberValue = { bridge: OVERLAY_BRIDGE, interface: BVI_INTERFACE, port: "bvi", splitHorizon: 0 };
  yield item(bridgeMemberKey, member);
  yield item((v) => unnumberedKey(v.interface), { interface: BVI_INTERFACE, to: GATEWAY_INTERFACE });
  yield item((v) => interfaceUpKey(v.interface), {
    interface: BVI_INTERFACE,
    requires: [bridgeMemberKey(member), unnumberedKey(BVI_INTERFACE)],
  });
}

/** The tunnel to another node, and what is reached through it. */
export function* overlayPeerItems(peer: PeerRow, overlay: Vxlan): Iterable<KeyValue> {
  const name = tunnelInterface(peer.id);
  const tunnel: VxlanValue = {
    kind: "vxlan",
    name,
    mtu: overlay.mtu,
    local: peer.localIp,
    remote: peer.underlayIp,
    vni: overlay.vni,
    port: overlay.port,
    vrf: 0,
  };
  yield { key: interfaceKey(name), value: tunnel };
  const member: BridgeMemberValue = { bridge: OVERLAY_BRIDGE, interface: name, port: "normal", splitHorizon: 1 };
  yield item(bridgeMemberKey, member);
  yield item((v) => interfaceUpKey(v.interface), { interface: name, requires: [bridgeMemberKey(member)] });
  const fib: L2FibValue = { bridge: OVERLAY_BRIDGE, mac: peer.vtepMac, kind: "static", interface: name };
  yield item(l2FibKey, fib);
  for (const address of peer.vtepIps) {
    yield item(vppNeighbourKey, { interface: BVI_INTERFACE, address, mac: peer.vtepMac });
  }
  for (const dst of peer.podCIDRs) {
    const ipv6 = isIpv6(dst);
    const gateway = peer.vtepIps.find((ip) => isIpv6(ip) === ipv6);
    if (gateway === undefined) continue;
    yield* routeInPackets(dst, { type: "via", interface: BVI_INTERFACE, gateway });
  }
}
