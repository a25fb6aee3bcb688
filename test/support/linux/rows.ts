import { parseIp } from "../../../src/base/ip/address.ts";
import { type LocalNodeRow, type PeerRow, vtepMacOf } from "../../../src/nodes/api.ts";

const ips = (...texts: string[]) => texts.map(parseIp);

/** Node 1 of a dual-stack cluster with VXLAN over IPv4, but for what is given. */
export function localRow(more: Partial<LocalNodeRow> = {}): LocalNodeRow {
  return {
    name: "n1",
    id: 1,
    podCIDRs: ["10.244.1.0/24", "fd10:244:0:1::/64"],
    gateways: ips("10.244.1.1", "fd10:244:0:1::1"),
    clusterCIDRs: ["10.244.0.0/16", "fd10:244::/48"],
    masquerade: true,
    uplinks: [
      { link: "eth0", address: parseIp("192.168.0.1"), mtu: 1500 },
      { link: "eth1", address: parseIp("fd00::1"), mtu: 1500 },
    ],
    raLinks: [],
    overlay: { kind: "vxlan", vni: 4096, port: 4789, mac: vtepMacOf(1), local: parseIp("192.168.0.1"), mtu: 1450 },
    ...more,
  };
}

/** Another node of the same cluster. */
export function peerRow(id: number, more: Partial<PeerRow> = {}): PeerRow {
  return {
    name: `n${id}`,
    id,
    underlayIp: parseIp(`192.168.0.${id}`),
    underlayIps: ips(`192.168.0.${id}`, `fd00::${id}`),
    localIp: parseIp("192.168.0.1"),
    podCIDRs: [`10.244.${id}.0/24`, `fd10:244:0:${id}::/64`],
    vtepMac: vtepMacOf(id),
    vtepIps: ips(`10.244.${id}.1`, `fd10:244:0:${id}::1`),
    ...more,
  };
}
