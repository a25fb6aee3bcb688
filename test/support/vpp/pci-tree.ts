import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TreeDevice {
  readonly pci: string;
  readonly driver?: string;
  readonly links?: readonly string[];
  /** What is between the device and its link: `virtio2`, `usb1/1-1`. */
  readonly below?: string;
}

/** A directory like /sys with PCI devices. What is written stays there to be looked at; nobody acts on it. */
export class PciTree implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), "hd-pci-"));

  constructor(...devices: readonly TreeDevice[]) {
    for (const dir of ["bus/pci/devices", "bus/pci/drivers", "class/net", "devices"]) this.#mkdir(dir);
    writeFileSync(this.#at("bus/pci/drivers_probe"), "");
    writeFileSync(this.#at("class/net/bonding_masters"), "");
    for (const device of devices) this.add(device);
  }

  add({ pci, driver, links = [], below = "" }: TreeDevice): void {
    const home = `devices/pci0000:00/${pci}`;
    this.#mkdir(home);
    writeFileSync(this.#at(home, "driver_override"), "(null)\n");
    symlinkSync(this.#at(home), this.#at("bus/pci/devices", pci));
    if (driver !== undefined) this.bind(pci, driver);
    for (const link of links) this.addLink(pci, link, below);
  }

  addDriver(driver: string): void {
    this.#mkdir(`bus/pci/drivers/${driver}`);
    writeFileSync(this.#at("bus/pci/drivers", driver, "unbind"), "");
  }

  /** Has the driver have the device. */
  bind(pci: string, driver: string): void {
    this.addDriver(driver);
    rmSync(this.#at("bus/pci/devices", pci, "driver"), { force: true });
    symlinkSync(this.#at("bus/pci/drivers", driver), this.#at("bus/pci/devices", pci, "driver"));
  }

  addLink(pci: string, link: string, below = ""): void {
    const device = join("devices/pci0000:00", pci, below);
    const at = join(device, "net", link);
    this.#mkdir(at);
    symlinkSync(this.#at(device), this.#at(at, "device"));
    symlinkSync(this.#at(at), this.#at("class/net", link));
  }

  removeLink(link: string): void {
    rmSync(this.#at("class/net", link));
  }

  read(path: string): string {
    return readFileSync(this.#at(path), "utf8");
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  #at(...path: readonly string[]): string {
    return join(this.root, ...path);
  }

  #mkdir(path: string): void {
    mkdirSync(this.#at(path), { recursive: true });
  }
}
