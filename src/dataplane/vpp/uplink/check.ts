import { existsSync } from "node:fs";
import { join } from "node:path";
import type { VppState } from "../binapi/index.ts";
import { NoPluginError } from "../features.ts";
import type { VppInstallation } from "../installation.ts";
import type { UplinkChoice } from "./choice.ts";
import { checkDevice } from "./device.ts";
import { systemDevices } from "./links.ts";

/**
 * Whether this machine can have the uplink so, as far as it can be told before anything is given back or taken: its VPP's
 * files, and the device. @throws NoPluginError, UplinkError
 */
export async function checkUplink(
  choice: UplinkChoice,
  { apiDirectory, plugins }: Pick<VppInstallation, "apiDirectory" | "plugins">,
  bus = systemDevices.bus,
): Promise<void> {
  if (choice.kind === "af-xdp" && !existsSync(join(apiDirectory, "plugins/af_xdp.api.json"))) {
    throw new NoPluginError("af_xdp");
  }
  if (choice.kind !== "dpdk") return;
  // It has no messages to look for, and a VPP without it does not start with devices for it.
  if (plugins !== undefined && !existsSync(join(plugins, "dpdk_plugin.so"))) throw new NoPluginError("dpdk");
  await checkDevice(choice, bus);
}

/** Whether the VPP that runs can: a plugin may be left out of its startup.conf. @throws NoPluginError */
export function checkRunning({ kind }: UplinkChoice, state: VppState): void {
  if (kind !== "af-xdp" || state.s !== "ready") return;
  if (state.info.without.includes("af_xdp")) throw new NoPluginError("af_xdp");
}
