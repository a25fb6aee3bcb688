import { HeddleError } from "../../../base/errors/errors.ts";
import type { TapValue } from "../../../models/vpp/interface.ts";
import { type Element, isRetval, TapFlags, type VppApi } from "../binapi/index.ts";
import { interfaceTag } from "./tag.ts";

/** Taps need it: by it the kernel reads and writes the packet buffers of who has a tap open. */
export const VHOST_NET = "/dev/vhost-net";

/** "The next free number." */
const ANY_ID = 0xffff_ffff;
/** What tap_create_if() of VPP's tap.c answers where /dev/vhost-net can't be opened. */
const NO_VHOST_NET = "SYSCALL_ERROR_1";

/** VPP cannot open /dev/vhost-net: load the module vhost_net, give VPP's container the device, or have pods use veth pairs. */
export class NoVhostNetError extends HeddleError<"NO_VHOST_NET"> {}

/**
 * Attaches VPP to a tap device, which stays when VPP ends without being asked to. The tag comes with the interface, so that none
 * is left without: two that are attached to one device would share what it receives.
 */
export async function makeTap(
  api: VppApi,
  value: TapValue,
  options: { readonly signal: AbortSignal },
): Promise<number> {
  const { PERSIST, ATTACH, OFFLOADS } = FLAGS;
  try {
    const { sw_if_index } = await api.request(
      "tap_create_v3",
      {
        id: ANY_ID,
        use_random_mac: false,
        mac_address: value.mac,
        // The kernel's device has its MTU: a later plugin of the pod's chain may have chosen it.
        host_mtu_set: false,
        host_mtu_size: 0,
        host_mac_addr_set: true,
        host_mac_addr: value.hostMac,
        host_ip4_prefix_set: false,
        host_ip4_prefix: "0.0.0.0/0",
        host_ip6_prefix_set: false,
        host_ip6_prefix: "::/0",
        host_ip4_gw_set: false,
        host_ip4_gw: "0.0.0.0",
        host_ip6_gw_set: false,
        host_ip6_gw: "::",
        tap_flags: PERSIST | ATTACH | (value.offload ? OFFLOADS : 0),
        host_namespace_set: value.netns !== undefined,
        host_namespace: value.netns ?? "",
        host_if_name_set: true,
        host_if_name: value.device,
        host_bridge_set: false,
        tag: interfaceTag(value),
      },
      options,
    );
    return sw_if_index;
  } catch (cause) {
    if (!isRetval(cause, [NO_VHOST_NET])) throw cause;
    throw new NoVhostNetError("NO_VHOST_NET", `VPP cannot open ${VHOST_NET}, which taps need`, { cause });
  }
}

const FLAGS = {
  PERSIST: TapFlags.TAP_API_FLAG_PERSIST,
  ATTACH: TapFlags.TAP_API_FLAG_ATTACH,
  OFFLOADS: TapFlags.TAP_API_FLAG_GSO | TapFlags.TAP_API_FLAG_CSUM_OFFLOAD,
} as const;

/** What VPP tells of a tap that it has. */
export function tapValue(
  common: Pick<TapValue, "mac" | "mtu" | "name">,
  { host_if_name, host_namespace, host_mac_addr, tap_flags }: Element<"sw_interface_tap_v2_dump">,
): TapValue {
  return {
    kind: "tap",
    ...common,
    device: host_if_name,
    ...(host_namespace === "" ? {} : { netns: host_namespace }),
    hostMac: host_mac_addr,
    offload: (tap_flags & TapFlags.TAP_API_FLAG_GSO) !== 0,
  };
}
