import { existsSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "../../src/base/clock/clock.ts";
import type { Dataplane } from "../../src/dataplane/api.ts";
import { LinuxDataplane, type LinuxDataplaneOptions } from "../../src/dataplane/linux/linux-dataplane.ts";
import { retreat } from "../../src/dataplane/vpp/retreat.ts";
import { VppDataplane } from "../../src/dataplane/vpp/vpp-dataplane.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import type { Log } from "../../src/infra/log/log.ts";

const MiB = 1 << 20;
/** Interfaces of a node beside its pods': uplinks, the host's, the pair that cuts segments. */
const OWN_INTERFACES = 8;

/**
 * The dataplane that the configuration asks for. Where an earlier agent had the other one, this is what replaces it: pods
 * keep their links and addresses. `onRestart` is called when what was configured in it is gone.
 */
export async function openDataplane(
  config: AgentConfig,
  options: LinuxDataplaneOptions & { readonly log: Log; readonly onRestart: () => unknown },
): Promise<Dataplane> {
  const { vpp } = config;
  // `auto` takes VPP where somebody runs one.
  const wanted =
    config.dataplane === "vpp" || (config.dataplane === "auto" && vpp.attach !== undefined && existsSync(vpp.attach));
  const runtimeDir = join(config.runDir, "vpp");
  if (!wanted) {
    const { takenLinks, log } = options;
    const { pid, links } = await retreat({ runtimeDir, takenLinks, clock: systemClock });
    if (pid !== undefined || links.length > 0) log.info({ pid, links }, "VPP is gone, the kernel has its links again");
    return LinuxDataplane.open(options);
  }
  return VppDataplane.open({
    ...options,
    clock: systemClock,
    prefix: vpp.prefix,
    attach: vpp.attach,
    statsSocket: vpp.statsSocket,
    runtimeDir,
    conf: {
      hugepages: vpp.hugepages,
      mainHeap: vpp.mainHeapMiB * MiB,
      buffers: { afPacket: vpp.maxPods + OWN_INTERFACES },
      ...(vpp.mainCore === undefined && vpp.workers.length === 0
        ? {}
        : { cores: { ...(vpp.mainCore === undefined ? {} : { main: vpp.mainCore }), workers: vpp.workers } }),
    },
  });
}
