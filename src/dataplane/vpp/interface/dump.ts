import { isDeepStrictEqual } from "node:util";
import type { InterfaceValue } from "../../../models/vpp/interface.ts";
import type { AfXdpValue } from "../../../models/vpp/interface-kinds.ts";
import {
  type DumpInput,
  type DumpName,
  type Element,
  IfType,
  MemifMode,
  MemifRole,
  type VppApi,
  VppMessageUnavailableError,
} from "../binapi/index.ts";
import { NO_INDEX } from "../target.ts";
import { afXdpValue } from "./af-xdp.ts";
import { furtherValue } from "./further.ts";
import { dumpFurther, type FurtherDumps } from "./further-dump.ts";
import { parseInterfaceTag } from "./tag.ts";
import { tapValue } from "./tap.ts";

/** All interfaces, ours or not, and what each kind of driver tells of its own; by sw_if_index. */
export interface DumpedInterfaces extends FurtherDumps {
  readonly all: ReadonlyMap<number, Element<"sw_interface_dump">>;
  readonly afPacket: ReadonlyMap<number, Element<"af_packet_dump">>;
  readonly memif: ReadonlyMap<number, Element<"memif_dump">>;
  readonly vxlan: ReadonlyMap<number, Element<"vxlan_tunnel_v2_dump">>;
  readonly tap: ReadonlyMap<number, Element<"sw_interface_tap_v2_dump">>;
}

/**
 * One pass: a dump of each kind, whatever the number of interfaces. A driver whose plugin is not loaded has no interfaces.
 * `known`: all interfaces, if they were read already.
 */
export async function dumpInterfaces(
  api: VppApi,
  signal: AbortSignal,
  known?: readonly Element<"sw_interface_dump">[],
): Promise<DumpedInterfaces> {
  const read = async <N extends DumpName>(name: N, input: DumpInput<N>) => {
    try {
      const elements = await api.dump(name, input, { signal });
      return new Map(elements.map((e) => [(e as unknown as { readonly sw_if_index: number }).sw_if_index, e]));
    } catch (e) {
      if (e instanceof VppMessageUnavailableError) return new Map<number, Element<N>>();
      throw e;
    }
  };
  const [all, afPacket, memif, vxlan, tap, further] = await Promise.all([
    known ? new Map(known.map((e) => [e.sw_if_index, e])) : read("sw_interface_dump", { name_filter_valid: false }),
    read("af_packet_dump", {}),
    read("memif_dump", {}),
    read("vxlan_tunnel_v2_dump", { sw_if_index: NO_INDEX }),
    read("sw_interface_tap_v2_dump", { sw_if_index: NO_INDEX }),
    dumpFurther(api, signal),
  ]);
  return { all, afPacket, memif, vxlan, tap, ...further };
}

/** Of a bond's member: VPP tells the bond's. Equal to any other one. */
const UNKNOWN_MAC = "";

/** Whether VPP has what is asked for. */
export function isSameInterface(a: InterfaceValue, b: InterfaceValue): boolean {
  if (!("mac" in a) || !("mac" in b)) return isDeepStrictEqual(a, b);
  const mac = a.mac === UNKNOWN_MAC ? b.mac : a.mac;
  return isDeepStrictEqual({ ...a, mac }, { ...b, mac: b.mac === UNKNOWN_MAC ? mac : b.mac });
}

/**
 * What an interface of ours is; `undefined` for others. Where no driver knows it, VPP made it at its start. `wanted` are those
 * that a digest of options may stand for.
 */
export function interfaceValue(
  index: number,
  dumped: DumpedInterfaces,
  wanted: readonly AfXdpValue[] = [],
): InterfaceValue | undefined {
  const details = dumped.all.get(index);
  const tag = details && parseInterfaceTag(details.tag);
  if (!details || !tag) return undefined;
  const common = { name: tag.name, mtu: details.mtu[0] ?? 0 };
  const ethernet = { ...common, mac: dumped.members.has(index) ? UNKNOWN_MAC : details.l2_address };
  const afPacket = dumped.afPacket.get(index);
  if (afPacket) {
    const { queues, offload, qdisc } = tag;
    return { kind: "af-packet", ...ethernet, device: afPacket.host_if_name, queues, offload, qdisc };
  }
  const memif = dumped.memif.get(index);
  if (memif) {
    return {
      kind: "memif",
      ...ethernet,
      socket: memif.socket_id,
      id: memif.id,
      role: memif.role === MemifRole.MEMIF_ROLE_API_MASTER ? "master" : "slave",
      mode: memif.mode === MemifMode.MEMIF_MODE_API_IP ? "ip" : "ethernet",
      queues: tag.queues,
    };
  }
  const vxlan = dumped.vxlan.get(index);
  if (vxlan) {
    const { src_address: local, dst_address: remote, vni, dst_port: port, encap_vrf_id: vrf } = vxlan;
    return { kind: "vxlan", ...common, local, remote, vni, port, vrf };
  }
  const tap = dumped.tap.get(index);
  if (tap) return tapValue(ethernet, tap);
  if (details.type === IfType.IF_API_TYPE_SUB) {
    const parent = parseInterfaceTag(dumped.all.get(details.sup_sw_if_index)?.tag ?? "");
    return parent && { kind: "vlan", ...common, parent: parent.name, vlan: details.sub_outer_vlan_id };
  }
  if (details.interface_dev_type === "Loopback") return { kind: "loopback", ...ethernet };
  return (
    afXdpValue(details, tag, common.mtu, wanted) ??
    furtherValue(index, tag, ethernet.mac, common.mtu, dumped) ?? {
      kind: "physical",
      ...common,
      device: details.interface_name,
    }
  );
}
