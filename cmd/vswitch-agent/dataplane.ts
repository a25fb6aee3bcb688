import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { seconds, systemClock } from "../../src/base/clock/clock.ts";
import { familyOf, parseIp } from "../../src/base/ip/address.ts";
import type { Dataplane } from "../../src/dataplane/api.ts";
import { LinuxDataplane, type LinuxDataplaneOptions } from "../../src/dataplane/linux/linux-dataplane.ts";
import type { DhcpOptions } from "../../src/dataplane/vpp/dhcp/uplink-lease.ts";
import { findVppInstallation } from "../../src/dataplane/vpp/installation.ts";
import { VHOST_NET } from "../../src/dataplane/vpp/interface/tap.ts";
import { retreat } from "../../src/dataplane/vpp/retreat.ts";
import type { ExpectedInterfaces } from "../../src/dataplane/vpp/supervisor/buffers.ts";
import { checkUplink } from "../../src/dataplane/vpp/uplink/check.ts";
import { isTakenFor, type UplinkChoice } from "../../src/dataplane/vpp/uplink/choice.ts";
import { VppDataplane } from "../../src/dataplane/vpp/vpp-dataplane.ts";
import type { AgentConfig } from "../../src/infra/config/agent-config.ts";
import { ConfigError } from "../../src/infra/config/load.ts";
import type { Log } from "../../src/infra/log/log.ts";

const MiB = 1 << 20;
/** Interfaces of a node beside its pods': uplinks, the host's, the pair that cuts segments. */
const OWN_INTERFACES = 8;
/** Denied packets that the kernel tells of for each that is logged: many are of connections that have been. */
const TOLD_FOR_A_LINE = 10;
/** VPP's message has room for so many. */
const MAX_HOSTNAME = 63;

/**
 * The dataplane that the configuration asks for. Where an earlier agent had the other one, this is what replaces it: pods
 * keep their links and addresses. `onRestart` is called when what was configured in it is gone.
 */
export async function openDataplane(
  config: AgentConfig,
  options: LinuxDataplaneOptions & {
    readonly nodeName: string;
    readonly log: Log;
    readonly onRestart: () => unknown;
  },
): Promise<Dataplane> {
  const { vpp } = config;
  // `auto` takes VPP where somebody runs one.
  const wanted =
    config.dataplane === "vpp" || (config.dataplane === "auto" && vpp.attach !== undefined && existsSync(vpp.attach));
  const runtimeDir = join(config.runDir, "vpp");
  const { takenLinks, log } = options;
  if (wanted) await checkUplink(vpp.uplink, findVppInstallation(vpp.prefix));
  // What was taken in another way than is asked for by now is the kernel's again, before it is taken anew.
  const isLeased = [...takenLinks.all().values()].some((link) => link.dhcp === true);
  if (!wanted || !isTakenFor(vpp.uplink, takenLinks.all()) || (isLeased && !vpp.dhcp.enabled)) {
    const { pid, links } = await retreat({ runtimeDir, takenLinks, clock: systemClock });
    if (pid !== undefined || links.length > 0) log.info({ pid, links }, "VPP is gone, the kernel has its links again");
  }
  if (!wanted) return LinuxDataplane.open({ ...options, deniedPackets: deniedPacketsOf(config) });
  return VppDataplane.open({
    ...options,
    clock: systemClock,
    prefix: vpp.prefix,
    attach: vpp.attach,
    statsSocket: vpp.statsSocket,
    runtimeDir,
    dhcp: dhcpOf(config, options.nodeName),
    uplink: vpp.uplink,
    podInterface: vpp.podInterface,
    enforcesPolicies: config.policy.enforce,
    servesServices: config.services.enabled,
    conf: {
      hugepages: vpp.hugepages,
      mainHeap: vpp.mainHeapMiB * MiB,
      buffers: { ...interfacesOf(config), ...queuesOf(vpp.uplink) },
      ...(vpp.mainCore === undefined && vpp.workers.length === 0
        ? {}
        : { cores: { ...(vpp.mainCore === undefined ? {} : { main: vpp.mainCore }), workers: vpp.workers } }),
    },
  });
}

function deniedPacketsOf({ policy: { enforce, deniedLog } }: AgentConfig): LinuxDataplaneOptions["deniedPackets"] {
  if (!enforce || deniedLog.perSecond === 0) return undefined;
  return { group: deniedLog.group, perSecond: deniedLog.perSecond * TOLD_FOR_A_LINE };
}

function interfacesOf({ vpp: { maxPods, podInterface } }: AgentConfig): ExpectedInterfaces {
  const hasTaps = podInterface === "tap" || (podInterface === "auto" && existsSync(VHOST_NET));
  return hasTaps ? { tap: maxPods, afPacket: OWN_INTERFACES } : { afPacket: maxPods + OWN_INTERFACES };
}

/** What the uplink fills with buffers in advance. As many queues as CPUs is what drivers have unless they are told otherwise. */
function queuesOf(uplink: UplinkChoice): ExpectedInterfaces {
  if (uplink.kind === "dpdk") return { dpdkQueues: uplink.queues };
  if (uplink.kind === "af-packet") return {};
  return { afXdpQueues: uplink.queues === "all" ? availableParallelism() : uplink.queues };
}

/** @throws ConfigError */
export function dhcpOf({ network, vpp: { dhcp } }: AgentConfig, nodeName: string): DhcpOptions | undefined {
  if (!dhcp.enabled) return undefined;
  const chosen = network.nodeIPs?.find((ip) => familyOf(parseIp(ip)) === 4);
  if (chosen !== undefined) {
    throw new ConfigError(`network.nodeIPs: ${chosen}: vpp.dhcp says where IPv4 addresses come from`);
  }
  // RFC 2132, section 3.14: of the characters of a domain name.
  const hostname = nodeName.replace(/[^A-Za-z0-9.-]/g, "-").slice(0, MAX_HOSTNAME);
  return { hostname, link: dhcp.link, wait: seconds(dhcp.waitSeconds) };
}
