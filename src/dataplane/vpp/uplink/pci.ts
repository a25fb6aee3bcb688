import { access, readdir, readlink, realpath, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { errnoOf } from "../../../base/errors/errors.ts";

/** A device on the PCI bus, as the kernel has it. */
export interface PciDevice {
  /** `ixgbe`, `virtio-pci`, `vfio-pci`; undefined when none has it. */
  readonly driver?: string;
  /** Links that it is behind, in this network namespace. */
  readonly links: readonly string[];
}

/** The end of a link's `device`, followed: the PCI device itself, or a virtio device on it. Not what is behind USB. */
const BEHIND_LINK = /\/([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])(?:\/virtio\d+)?$/;

/** The PCI bus in sysfs (Documentation/ABI/testing/sysfs-bus-pci of Linux). */
export class PciBus {
  readonly #root: string;

  constructor(root = "/sys") {
    this.#root = root;
  }

  /** `undefined` when there is no such device. */
  async find(pci: string): Promise<PciDevice | undefined> {
    if (!(await exists(this.#device(pci)))) return undefined;
    const driver = await unlessMissing(readlink(join(this.#device(pci), "driver")));
    return { links: await this.#linksOf(pci), ...(driver === undefined ? {} : { driver: basename(driver) }) };
  }

  /** Whether a driver for PCI devices is built in or loaded. */
  hasDriver(name: string): Promise<boolean> {
    return exists(join(this.#root, "bus/pci/drivers", name));
  }

  /** Gives a device, which nobody may use, to a driver. Whatever one has it loses it; nothing is done if that is the one. */
  async give(pci: string, driver: string): Promise<void> {
    const before = (await this.find(pci))?.driver;
    if (before === driver) return;
    const override = join(this.#device(pci), "driver_override");
    // Else the kernel would give it to any driver that claims it, such as vfio-pci by an ID that was added.
    await writeFile(override, `${driver}\n`);
    if (before !== undefined) await writeFile(join(this.#root, "bus/pci/drivers", before, "unbind"), pci);
    await writeFile(join(this.#root, "bus/pci/drivers_probe"), pci);
    await writeFile(override, "\n");
  }

  async #linksOf(pci: string): Promise<string[]> {
    const net = join(this.#root, "class/net");
    const links: string[] = [];
    for (const link of ((await unlessMissing(readdir(net))) ?? []).toSorted()) {
      const device = await unlessMissing(realpath(join(net, link, "device")));
      if (device !== undefined && BEHIND_LINK.exec(device)?.[1] === pci) links.push(link);
    }
    return links;
  }

  #device(pci: string): string {
    return join(this.#root, "bus/pci/devices", pci);
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Links and drivers may go at any time. */
async function unlessMissing<T>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (e) {
    // ENOTDIR: bonding_masters is a file in class/net
    if (["ENOENT", "ENODEV", "ENOTDIR"].includes(errnoOf(e) ?? "")) return undefined;
    throw e;
  }
}
