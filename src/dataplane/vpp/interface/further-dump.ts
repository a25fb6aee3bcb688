import { type Element, type VppApi, VppMessageUnavailableError } from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";

/** What the drivers of the kinds in models/vpp/interface-kinds.ts tell of their interfaces; by sw_if_index. */
export interface FurtherDumps {
  readonly gre: ReadonlyMap<number, Element<"gre_tunnel_v2_dump">["tunnel"]>;
  readonly ipip: ReadonlyMap<number, Element<"ipip_tunnel_dump">["tunnel"]>;
  /** With private keys. */
  readonly wireguard: ReadonlyMap<number, Element<"wireguard_interface_dump">["interface"]>;
  readonly ipsec: ReadonlyMap<number, Element<"ipsec_itf_dump">["itf"]>;
  readonly bond: ReadonlyMap<number, Element<"sw_bond_interface_dump">>;
  /** Members of bonds: they show the bond's MAC address instead of their own. */
  readonly members: ReadonlySet<number>;
}

export async function dumpFurther(api: VppApi, signal: AbortSignal): Promise<FurtherDumps> {
  const options = { signal };
  const all = { sw_if_index: NO_INDEX };
  const [gre, ipip, wireguard, ipsec, bond] = await Promise.all([
    byIndex(api.dump("gre_tunnel_v2_dump", all, options), (e) => e.tunnel),
    byIndex(api.dump("ipip_tunnel_dump", all, options), (e) => e.tunnel),
    byIndex(api.dump("wireguard_interface_dump", { ...all, show_private_key: true }, options), (e) => e.interface),
    byIndex(api.dump("ipsec_itf_dump", all, options), (e) => e.itf),
    byIndex(api.dump("sw_bond_interface_dump", all, options), (e) => e),
  ]);
  const members = await Promise.all(
    [...bond.keys()].map((sw_if_index) => api.dump("sw_member_interface_dump", { sw_if_index }, options)),
  );
  return { gre, ipip, wireguard, ipsec, bond, members: new Set(members.flat().map((m) => m.sw_if_index)) };
}

/** Of a plugin that is not loaded: none. */
async function byIndex<E, D extends { readonly sw_if_index: number }>(
  dump: Promise<readonly E[]>,
  details: (element: E) => D,
): Promise<ReadonlyMap<number, D>> {
  try {
    return new Map((await dump).map(details).map((d) => [d.sw_if_index, d]));
  } catch (e) {
    if (e instanceof VppMessageUnavailableError) return new Map();
    throw e;
  }
}
