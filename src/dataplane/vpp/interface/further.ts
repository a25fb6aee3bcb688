import type { InterfaceValue } from "../../../models/vpp/interface.ts";
import type { BondValue, FurtherInterfaceValue, GreValue } from "../../../models/vpp/interface-kinds.ts";
import { BondLbAlgo, BondMode, GreTunnelType, IpDscp, TunnelMode, type VppApi } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { deleteAfXdp, isAfXdpOn, makeAfXdp } from "./af-xdp.ts";
import type { DumpedInterfaces } from "./dump.ts";
import type { InterfaceTag } from "./tag.ts";

/** Makes an interface of the kinds in models/vpp/interface-kinds.ts. */
export async function makeFurther(api: VppApi, value: FurtherInterfaceValue, signal: AbortSignal): Promise<number> {
  const options = { signal };
  switch (value.kind) {
    case "gre": {
      const input = { is_add: true, tunnel: gre(value) };
      return (await api.request("gre_tunnel_add_del_v2", input, options)).sw_if_index;
    }
    case "ipip": {
      const tunnel = {
        instance: NO_INDEX,
        src: value.local,
        dst: value.remote,
        sw_if_index: NO_INDEX,
        table_id: value.vrf,
        mode: TunnelMode.TUNNEL_API_MODE_P2P,
        dscp: IpDscp.IP_API_DSCP_CS0,
      };
      return (await api.request("ipip_add_tunnel", { tunnel }, options)).sw_if_index;
    }
    case "wireguard": {
      const settings = {
        sw_if_index: NO_INDEX,
        private_key: Buffer.from(value.privateKey, "base64"),
        port: value.port,
        src_ip: value.local,
      };
      const input = { interface: settings, generate_key: false };
      return (await api.request("wireguard_interface_create", input, options)).sw_if_index;
    }
    case "ipsec": {
      const itf = { mode: TunnelMode.TUNNEL_API_MODE_P2P, sw_if_index: NO_INDEX };
      return (await api.request("ipsec_itf_create", { itf }, options)).sw_if_index;
    }
    case "bond": {
      const input = {
        mode: BOND_MODES[value.mode],
        lb: BOND_BALANCES[value.balance ?? "l2"],
        numa_only: false,
        enable_gso: false,
        use_custom_mac: true,
        mac_address: value.mac,
      };
      return (await api.request("bond_create2", input, options)).sw_if_index;
    }
    case "af-xdp":
      return makeAfXdp(api, value, signal);
    case "physical":
      return findDevice(api, value.device, signal);
  }
}

/** The number of a device that VPP made at its start, and that nobody has tagged. */
async function findDevice(api: VppApi, device: string, signal: AbortSignal): Promise<number> {
  const input = { name_filter_valid: true, name_filter: device };
  // The filter finds the name within others as well.
  const found = (await api.dump("sw_interface_dump", input, { signal })).find((d) => d.interface_name === device);
  if (found === undefined) throw new Error(`VPP has no device ${device}; startup.conf names those that it has`);
  if (found.tag !== "") throw new Error(`${device} is in use: its tag is ${JSON.stringify(found.tag)}`);
  return found.sw_if_index;
}

/** Removes it; a device of VPP's own is put down and loses its tag. */
export async function deleteFurther(api: VppApi, value: FurtherInterfaceValue, index: number, signal: AbortSignal) {
  const options = { signal };
  const sw_if_index = index;
  switch (value.kind) {
    case "gre":
      return api.request("gre_tunnel_add_del_v2", { is_add: false, tunnel: gre(value) }, options);
    case "ipip":
      return api.request("ipip_del_tunnel", { sw_if_index }, options);
    case "wireguard":
      return api.request("wireguard_interface_delete", { sw_if_index }, options);
    case "ipsec":
      return api.request("ipsec_itf_delete", { sw_if_index }, options);
    case "bond":
      return api.request("bond_delete", { sw_if_index }, options);
    case "af-xdp":
      return deleteAfXdp(api, index, signal);
    case "physical":
      await api.request("sw_interface_set_flags", { sw_if_index, flags: 0 }, options);
      return api.request("sw_interface_tag_add_del", { is_add: false, sw_if_index }, options);
  }
}

/** Whether an interface that VPP has keeps `value` from being made. */
export function isFurtherInTheWay(value: FurtherInterfaceValue, index: number, dumped: DumpedInterfaces): boolean {
  switch (value.kind) {
    case "gre": {
      const found = dumped.gre.get(index);
      return found !== undefined && isBetween(value, found) && found.key === value.key;
    }
    case "ipip": {
      const found = dumped.ipip.get(index);
      return found !== undefined && isBetween(value, found);
    }
    case "af-xdp":
      return isAfXdpOn(value, dumped.all.get(index));
    case "bond":
    case "ipsec":
    case "physical":
    case "wireguard":
      return false;
  }
}

const isBetween = (
  value: { readonly local: string; readonly remote: string },
  found: { readonly src: string; readonly dst: string },
): boolean => found.src === value.local && found.dst === value.remote;

/** What an interface of one of these kinds is; undefined for other ones. */
export function furtherValue(
  index: number,
  tag: InterfaceTag,
  mac: string,
  mtu: number,
  dumped: DumpedInterfaces,
): InterfaceValue | undefined {
  const common = { name: tag.name, mtu };
  const gre = dumped.gre.get(index);
  if (gre) {
    const { src: local, dst: remote, outer_table_id: vrf, key, type } = gre;
    const carries = type === GreTunnelType.GRE_API_TUNNEL_TYPE_TEB ? "ethernet" : "ip";
    return { kind: "gre", ...common, local, remote, vrf, carries, key };
  }
  const ipip = dumped.ipip.get(index);
  if (ipip) return { kind: "ipip", ...common, local: ipip.src, remote: ipip.dst, vrf: ipip.table_id };
  const wireguard = dumped.wireguard.get(index);
  if (wireguard) {
    const { src_ip: local, port, private_key } = wireguard;
    return { kind: "wireguard", ...common, local, port, privateKey: Buffer.from(private_key).toString("base64") };
  }
  if (dumped.ipsec.has(index)) return { kind: "ipsec", ...common };
  const bond = dumped.bond.get(index);
  if (!bond) return undefined;
  const mode = nameIn(BOND_MODES, bond.mode);
  const balance = mode === "lacp" || mode === "xor" ? nameIn(BOND_BALANCES, bond.lb) : undefined;
  if (mode === undefined) return undefined;
  return { kind: "bond", ...common, mac, mode, ...(balance === undefined ? {} : { balance }) };
}

function gre(value: GreValue) {
  const { GRE_API_TUNNEL_TYPE_L3, GRE_API_TUNNEL_TYPE_TEB } = GreTunnelType;
  return {
    type: value.carries === "ethernet" ? GRE_API_TUNNEL_TYPE_TEB : GRE_API_TUNNEL_TYPE_L3,
    mode: TunnelMode.TUNNEL_API_MODE_P2P,
    session_id: 0,
    instance: NO_INDEX,
    outer_table_id: value.vrf,
    sw_if_index: NO_INDEX,
    src: value.local,
    dst: value.remote,
    key: value.key,
  };
}

const BOND_MODES = {
  "round-robin": BondMode.BOND_API_MODE_ROUND_ROBIN,
  "active-backup": BondMode.BOND_API_MODE_ACTIVE_BACKUP,
  xor: BondMode.BOND_API_MODE_XOR,
  broadcast: BondMode.BOND_API_MODE_BROADCAST,
  lacp: BondMode.BOND_API_MODE_LACP,
} as const satisfies Record<BondValue["mode"], number>;

const BOND_BALANCES = {
  l2: BondLbAlgo.BOND_API_LB_ALGO_L2,
  l34: BondLbAlgo.BOND_API_LB_ALGO_L34,
  l23: BondLbAlgo.BOND_API_LB_ALGO_L23,
} as const satisfies Record<NonNullable<BondValue["balance"]>, number>;

/** The name of a number. */
function nameIn<N extends string>(names: Readonly<Record<N, number>>, number: number): N | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a constant
  return (Object.keys(names) as N[]).find((name) => names[name] === number);
}
