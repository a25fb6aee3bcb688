import type { IpAddress } from "../../../base/ip/address.ts";
import type { TakenDevice } from "../../../models/linux.ts";
import type { TakenLinkRecords } from "../../linux/taken-link/descriptor.ts";
import type { StartupConf } from "../supervisor/startup-conf.ts";
import type { DpdkChoice, UplinkChoice } from "./choice.ts";
import { DPDK_DEVICE, dpdkConf, letGo, readDevice } from "./device.ts";
import { UplinkError } from "./errors.ts";
import type { Devices } from "./links.ts";

/** One VPP that is kept running; the supervisor. */
export interface Supervised {
  close(options?: { readonly keep?: boolean }): Promise<void>;
}

export interface OwnVppOptions {
  /** Starts VPP, or takes over the one that runs with the same configuration. */
  readonly start: (dpdk: StartupConf["dpdk"]) => Promise<Supervised>;
  readonly uplink: UplinkChoice;
  readonly takenLinks: TakenLinkRecords;
  readonly devices: Devices;
  /** Names of VPP's interfaces. */
  readonly interfaces: () => Promise<readonly string[]>;
  /** Gives the kernel all that was taken from it; no VPP runs any more. */
  readonly giveBack: () => Promise<unknown>;
}

/**
 * The VPP that an agent runs. DPDK's devices are its from its start: it is started anew when one is taken, and without one
 * before, so that what needs the node's addresses can be done by the kernel the first time.
 */
export class OwnVpp {
  readonly #options: OwnVppOptions;
  #supervised: Supervised;

  private constructor(options: OwnVppOptions, supervised: Supervised) {
    this.#options = options;
    this.#supervised = supervised;
  }

  /** With the device that was taken earlier, if one was. */
  static async start(options: OwnVppOptions): Promise<OwnVpp> {
    const { uplink, takenLinks, devices, start } = options;
    const device = uplink.kind === "dpdk" ? takenDevice(takenLinks) : undefined;
    if (uplink.kind !== "dpdk" || !device) return new OwnVpp(options, await start(undefined));
    // After the machine's restart the kernel has it again.
    await letGo(device.pci, devices);
    return new OwnVpp(options, await start(dpdkConf(device, uplink)));
  }

  /**
   * Takes the device from the kernel, with everything recorded before. When VPP cannot have it the kernel gets it back, and
   * no VPP runs. @throws UplinkError
   */
  async takeDevice(choice: DpdkChoice, nodeIPs: readonly IpAddress[] | undefined): Promise<void> {
    const { takenLinks, devices, start, interfaces, giveBack } = this.#options;
    const record = await readDevice(choice, devices, nodeIPs);
    await takenLinks.set(record.link, record);
    try {
      await this.#supervised.close();
      await letGo(choice.pci, devices);
      this.#supervised = await start(dpdkConf(record.device, choice));
      if (!(await interfaces()).includes(DPDK_DEVICE)) {
        throw new UplinkError(`VPP has started without ${choice.pci}: its log (show logging) says why`);
      }
    } catch (cause) {
      await this.#supervised.close();
      await giveBack();
      throw new UplinkError(`vpp.uplink.pci: VPP could not have ${choice.pci}, which is the kernel's again`, { cause });
    }
  }

  async close(options?: { readonly keep?: boolean }): Promise<void> {
    await this.#supervised.close(options);
  }
}

function takenDevice(takenLinks: TakenLinkRecords): TakenDevice | undefined {
  return [...takenLinks.all().values()].find(({ device }) => device)?.device;
}
