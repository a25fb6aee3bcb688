import { isPodLink } from "../../../models/linux.ts";
import type { InterfaceValue, MemifValue } from "../../../models/vpp/interface.ts";
import {
  AfPacketFlags,
  AfPacketMode,
  isAlreadyExists,
  MemifMode,
  MemifRole,
  SubIfFlags,
  type VppApi,
} from "../binapi/index.ts";
import { indexOf, NO_INDEX, type VppTarget } from "../target.ts";
import { AfXdpError } from "./af-xdp.ts";
import { type DumpedInterfaces, dumpInterfaces } from "./dump.ts";
import { deleteFurther, isFurtherInTheWay, makeFurther } from "./further.ts";
import { makeTap } from "./tap.ts";

/**
 * Frames of 66 KiB that wait to be sent by a packet socket. VPP sends up to 256 packets at a time, and what does not fit is
 * lost; the kernel has done with a packet when it has handed it on. VPP's own default of 1,024 is 128 MiB of the kernel's
 * memory for each interface, which can take most of a second to be had.
 */
const TX_FRAMES = 256;

/**
 * Rings of pods' packet sockets (TPACKET_V2, ADR 0025). The kernel takes a power of two of pages for each, whatever is asked for
 * (alloc_one_pg_vec_page() of net/packet/af_packet.c): these fit into 16 MiB, with some more places it would be 32.
 * A place holds 64 KiB of segments with their headers: VPP writes beyond one that doesn't. What is received has whole pages, so
 * that the mapping can be put in another order (native/vpp/rings.cc); whole rings are whole pages, too.
 */
const POD_RINGS = {
  rx_frame_size: 17 * 4096,
  rx_frames_per_block: 240,
  tx_frame_size: 65 * 1024,
  tx_frames_per_block: 252,
} as const;

/** "VPP's default": of packet socket frames and memif rings. */
const DEFAULT = 0;

const NODE_RINGS = {
  rx_frame_size: DEFAULT,
  rx_frames_per_block: DEFAULT,
  tx_frame_size: DEFAULT,
  tx_frames_per_block: TX_FRAMES,
} as const;

/**
 * Makes the interface as VPP makes it: down, without a tag. Where one is in the way that has no tag, somebody died
 * between making it and tagging it: it is removed first.
 */
export async function createInterface(vpp: VppTarget, value: InterfaceValue, signal: AbortSignal): Promise<number> {
  try {
    return await make(vpp, value, signal);
  } catch (e) {
    // That a queue of a device is read already is not told apart from other refusals.
    if (!isAlreadyExists(e) && !(e instanceof AfXdpError)) throw e;
    const dumped = await dumpInterfaces(vpp.api, signal);
    const untagged = [...dumped.all.values()].find((d) => d.tag === "" && isInTheWay(value, d.sw_if_index, dumped));
    if (untagged === undefined) throw e;
    await deleteInterface(vpp.api, value, untagged.sw_if_index, signal);
    return make(vpp, value, signal);
  }
}

async function make(vpp: VppTarget, value: InterfaceValue, signal: AbortSignal): Promise<number> {
  const { api } = vpp;
  const options = { signal };
  switch (value.kind) {
    case "loopback": {
      const input = { mac_address: value.mac, is_specified: false, user_instance: 0 };
      return (await api.request("create_loopback_instance", input, options)).sw_if_index;
    }
    case "af-packet": {
      // Of many pods, timers cost more than memory; of the node's few devices it is the other way round.
      const isPods = isPodLink(value.device);
      const input = {
        mode: AfPacketMode.AF_PACKET_API_MODE_ETHERNET,
        hw_addr: value.mac,
        use_random_hw_addr: false,
        host_if_name: value.device,
        ...(isPods ? POD_RINGS : NODE_RINGS),
        flags:
          (isPods ? AfPacketFlags.AF_PACKET_API_FLAG_VERSION_2 : 0) |
          (value.offload ? AfPacketFlags.AF_PACKET_API_FLAG_CKSUM_GSO : 0) |
          (value.qdisc ? 0 : AfPacketFlags.AF_PACKET_API_FLAG_QDISC_BYPASS),
        num_rx_queues: value.queues,
        num_tx_queues: value.queues,
      };
      return (await api.request("af_packet_create_v3", input, options)).sw_if_index;
    }
    case "memif":
      return (await api.request("memif_create_v2", memif(value), options)).sw_if_index;
    case "vxlan":
      return (await api.request("vxlan_add_del_tunnel_v3", { ...vxlan(value), is_add: true }, options)).sw_if_index;
    case "tap":
      return makeTap(api, value, options);
    case "vlan": {
      const input = {
        sw_if_index: indexOf(vpp, value.parent),
        sub_id: value.vlan,
        // Exact match: without it an interface that routes would get other frames as well.
        sub_if_flags: SubIfFlags.SUB_IF_API_FLAG_ONE_TAG | SubIfFlags.SUB_IF_API_FLAG_EXACT_MATCH,
        outer_vlan_id: value.vlan,
        inner_vlan_id: 0,
      };
      return (await api.request("create_subif", input, options)).sw_if_index;
    }
    default:
      return makeFurther(api, value, signal);
  }
}

export async function deleteInterface(api: VppApi, value: InterfaceValue, sw_if_index: number, signal: AbortSignal) {
  const options = { signal };
  switch (value.kind) {
    case "loopback":
      return api.request("delete_loopback", { sw_if_index }, options);
    case "af-packet":
      return api.request("af_packet_delete", { host_if_name: value.device }, options);
    case "memif":
      return api.request("memif_delete", { sw_if_index }, options);
    case "vxlan":
      return api.request("vxlan_add_del_tunnel_v3", { ...vxlan(value), is_add: false }, options);
    case "tap":
      return api.request("tap_delete_v2", { sw_if_index }, options);
    case "vlan":
      return api.request("delete_subif", { sw_if_index }, options);
    default:
      return deleteFurther(api, value, sw_if_index, signal);
  }
}

/** Whether an interface that VPP has keeps `value` from being made. */
function isInTheWay(value: InterfaceValue, index: number, dumped: DumpedInterfaces): boolean {
  switch (value.kind) {
    case "af-packet":
      return dumped.afPacket.get(index)?.host_if_name === value.device;
    case "memif": {
      const found = dumped.memif.get(index);
      return found?.socket_id === value.socket && found.id === value.id;
    }
    case "vxlan": {
      const found = dumped.vxlan.get(index);
      return found?.src_address === value.local && found.dst_address === value.remote && found.vni === value.vni;
    }
    case "loopback":
    case "tap":
    case "vlan":
      return false;
    default:
      return isFurtherInTheWay(value, index, dumped);
  }
}

function memif(value: MemifValue) {
  return {
    role: value.role === "master" ? MemifRole.MEMIF_ROLE_API_MASTER : MemifRole.MEMIF_ROLE_API_SLAVE,
    mode: value.mode === "ethernet" ? MemifMode.MEMIF_MODE_API_ETHERNET : MemifMode.MEMIF_MODE_API_IP,
    rx_queues: value.queues,
    tx_queues: value.queues,
    id: value.id,
    socket_id: value.socket,
    // VPP's defaults (1,024 slots, 2,048 bytes): it dumps what was agreed with a peer, and nothing before there is one.
    ring_size: DEFAULT,
    buffer_size: DEFAULT,
    no_zero_copy: false,
    use_dma: false,
    hw_addr: value.mac,
  };
}

function vxlan(value: Extract<InterfaceValue, { kind: "vxlan" }>) {
  return {
    src_address: value.local,
    dst_address: value.remote,
    src_port: value.port,
    dst_port: value.port,
    mcast_sw_if_index: NO_INDEX,
    encap_vrf_id: value.vrf,
    decap_next_index: NO_INDEX,
    vni: value.vni,
  };
}
