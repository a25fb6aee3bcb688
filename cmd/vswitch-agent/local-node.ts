import { familyOf } from "../../src/base/ip/address.ts";
import { type Cidr, cidrContainsCidr, formatCidr, parseNetwork } from "../../src/base/ip/cidr.ts";
import type { Underlay } from "../../src/dataplane/api.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import { ConfigError } from "../../src/infra/config/load.ts";
import { gatewayOf } from "../../src/ipam/api.ts";
import { type LocalNodeRow, vtepMacOf } from "../../src/nodes/api.ts";
import type { Identity } from "./identity.ts";

/** What VXLAN adds to a packet: outer IP (20 or 40), UDP 8, VXLAN 8, inner Ethernet 14. */
const VXLAN_OVERHEAD = { 4: 50, 6: 70 } as const;
/** RFC 8200: IPv6 does not work on links with less. */
const MIN_MTU = 1280;

/** This node as its dataplane sets it up. @throws ConfigError when the MTU leaves no room. */
export function localNodeRow(
  config: AgentConfig,
  identity: Identity,
  underlay: Underlay,
): LocalNodeRow & { podMtu: number } {
  const { network } = config;
  const tunnel = underlay.uplinks[0];
  if (!tunnel) throw new ConfigError("network.nodeIPs: this node has no address on the underlay");
  const overhead = network.overlay === "vxlan" ? VXLAN_OVERHEAD[familyOf(tunnel.address)] : 0;
  const room = Math.min(...underlay.uplinks.map((u) => u.mtu)) - overhead;
  const podMtu = network.mtu === "auto" ? room : network.mtu;
  if (podMtu > room) {
    throw new ConfigError(
      `network.mtu: ${podMtu} is more than the underlay leaves (${room} with overlay ${network.overlay})`,
    );
  }
  if (podMtu < MIN_MTU) {
    throw new ConfigError(
      `network.mtu: the underlay leaves ${podMtu} bytes, IPv6 needs ${MIN_MTU}; give links an MTU of ${MIN_MTU + overhead}`,
    );
  }
  return {
    name: identity.name,
    id: identity.id,
    podCIDRs: identity.subnets.map(formatCidr),
    gateways: identity.subnets.map(gatewayOf),
    clusterCIDRs: outermost([...network.pools.map((p) => p.cidr), ...network.masquerade.exclude].map(parseNetwork)),
    masquerade: network.masquerade.enabled,
    uplinks: underlay.uplinks,
    raLinks: underlay.raLinks,
    podMtu,
    overlay:
      network.overlay === "none"
        ? { kind: "none" }
        : {
            kind: "vxlan",
            vni: network.vxlan.vni,
            port: network.vxlan.port,
            mac: vtepMacOf(identity.id),
            local: tunnel.address,
            mtu: podMtu,
          },
  };
}

/** Without those that lie inside another: an interval set of nftables takes no overlaps. */
function outermost(cidrs: readonly Cidr[]): string[] {
  const kept = cidrs.filter((c, i) => !cidrs.some((other, j) => covers(other, c) && (!covers(c, other) || j < i)));
  return kept.map(formatCidr);
}

const covers = (outer: Cidr, inner: Cidr): boolean => outer.family === inner.family && cidrContainsCidr(outer, inner);
