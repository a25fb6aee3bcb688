import { createHash } from "node:crypto";
import { HeddleError } from "../../../base/errors/errors.ts";
import type { AfXdpValue } from "../../../models/vpp/interface-kinds.ts";
import {
  AfXdpFlag,
  AfXdpMode,
  type Element,
  isRetval,
  type VppApi,
  VppMessageUnavailableError,
} from "../binapi/index.ts";
import { NoPluginError } from "../features.ts";
import type { InterfaceTag } from "./tag.ts";

/*
 * Interfaces by AF_XDP. VPP has no dump of them, only the interface's name, which we choose: `xdp-<device>-<digest>`. What
 * the digest stands for is looked up among the values that are wanted, so that a change of any option is seen.
 */

/** In VPP's list of interfaces, the name of their class of devices. */
const DEVICE_TYPE = "AF_XDP interface";
/** All receive queues that the device has (AF_XDP_NUM_RX_QUEUES_ALL of af_xdp.h). */
const ALL_QUEUES = 0xffff;

const MODES = {
  auto: AfXdpMode.AF_XDP_API_MODE_AUTO,
  copy: AfXdpMode.AF_XDP_API_MODE_COPY,
  "zero-copy": AfXdpMode.AF_XDP_API_MODE_ZERO_COPY,
} as const satisfies Record<AfXdpValue["mode"], number>;

/** What VPP's numbers mean here (device.c of its plugin): the words it has for them go to its log only. */
const REFUSALS: readonly (readonly [retval: string, words: string])[] = [
  [
    "SYSCALL_ERROR_1",
    "VPP's packet buffers could not be registered with the kernel: too many, or locked memory is limited",
  ],
  [
    "SYSCALL_ERROR_2",
    "no socket for a queue: the device is down, its queue has one already, or its driver has not that mode",
  ],
  ["SYSCALL_ERROR_3", "the program has no map xsks_map"],
  ["SYSCALL_ERROR_5", "the program could not be read"],
  ["SYSCALL_ERROR_6", "the program could not be attached to the device"],
  ["SYSCALL_ERROR_8", "there is no such network namespace"],
  ["SYSCALL_ERROR_9", "VPP may not enter the network namespace"],
  ["INVALID_VALUE", "there is no such device, or it has not that many receive queues"],
];

/** VPP can't have the device by AF_XDP. */
export class AfXdpError extends HeddleError<"AF_XDP"> {
  constructor(device: string, why: string, options?: ErrorOptions) {
    super("AF_XDP", `${device} by AF_XDP: ${why}`, options);
  }
}

/** Makes the interface with the address it is to have. @throws NoPluginError, AfXdpError */
export async function makeAfXdp(api: VppApi, value: AfXdpValue, signal: AbortSignal): Promise<number> {
  const input = {
    host_if: value.device,
    name: nameInVpp(value),
    rxq_num: value.rxQueues === "all" ? ALL_QUEUES : value.rxQueues,
    mode: MODES[value.mode],
    // Kernels since 5.6 bear poll() and sendto() at once on such a socket; with the lock there are no interrupts.
    flags: AfXdpFlag.AF_XDP_API_FLAGS_NO_SYSCALL_LOCK,
    prog: value.program ?? "",
    netns: value.netns ?? "",
  };
  const { sw_if_index } = await api.request("af_xdp_create_v3", input, { signal }).catch((e: unknown) => {
    throw explained(e, value.device);
  });
  try {
    await api.request("sw_interface_set_mac_address", { sw_if_index, mac_address: value.mac }, { signal });
  } catch (e) {
    await deleteAfXdp(api, sw_if_index, signal);
    throw e;
  }
  return sw_if_index;
}

export async function deleteAfXdp(api: VppApi, sw_if_index: number, signal: AbortSignal): Promise<void> {
  await api.request("af_xdp_delete", { sw_if_index }, { signal });
}

/** Whether VPP has an interface on that device. */
export const isAfXdpOn = (value: AfXdpValue, details: Element<"sw_interface_dump"> | undefined): boolean =>
  details?.interface_dev_type === DEVICE_TYPE && deviceIn(details.interface_name) === value.device;

/** What an interface is; `undefined` for other kinds. */
export function afXdpValue(
  details: Element<"sw_interface_dump">,
  { name }: InterfaceTag,
  mtu: number,
  wanted: readonly AfXdpValue[],
): AfXdpValue | undefined {
  if (details.interface_dev_type !== DEVICE_TYPE) return undefined;
  const asked = wanted.find((value) => value.name === name && nameInVpp(value) === details.interface_name);
  // Nobody asks for no queues: with unknown options it is another one than whichever is wanted.
  const { rxQueues, mode, program, netns } = asked ?? { rxQueues: 0, mode: "auto" as const };
  return {
    kind: "af-xdp",
    name,
    mtu,
    mac: details.l2_address,
    device: deviceIn(details.interface_name),
    rxQueues,
    mode,
    ...(program === undefined ? {} : { program }),
    ...(netns === undefined ? {} : { netns }),
  };
}

function nameInVpp({ device, rxQueues, mode, program, netns }: AfXdpValue): string {
  const options = JSON.stringify([rxQueues, mode, program ?? null, netns ?? null]);
  return `xdp-${device}-${createHash("sha256").update(options).digest("hex").slice(0, 8)}`;
}

const deviceIn = (nameInVpp: string): string => /^xdp-(.+)-[0-9a-f]+$/.exec(nameInVpp)?.[1] ?? nameInVpp;

function explained(e: unknown, device: string): unknown {
  if (e instanceof VppMessageUnavailableError) return new NoPluginError("af_xdp", e);
  const words = REFUSALS.find(([retval]) => isRetval(e, [retval]))?.[1];
  return words === undefined ? e : new AfXdpError(device, words, { cause: e });
}
