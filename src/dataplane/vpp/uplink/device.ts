import { type Clock, millis, seconds, sleep } from "../../../base/clock/clock.ts";
import type { IpAddress } from "../../../base/ip/address.ts";
import type { TakenDevice, TakenLinkValue } from "../../../models/linux.ts";
import type { FoundLink } from "../../linux/taken-link/found.ts";
import type { DpdkDevice, StartupConf } from "../supervisor/startup-conf.ts";
import type { DpdkChoice } from "./choice.ts";
import { UplinkError } from "./errors.ts";
import type { Devices } from "./links.ts";
import type { PciBus, PciDevice } from "./pci.ts";

/*
 * The uplink as a device of DPDK's: VPP has it from its start, by a driver that hands devices to programs, and the kernel
 * has no link of it as long as it lasts. So all that the link had is read before.
 */

/** VPP's name of it. */
export const DPDK_DEVICE = "dpdk-uplink";

/** Drivers that hand devices to programs. */
const USER_DRIVERS = ["vfio-pci", "uio_pci_generic", "igb_uio"];
/** DPDK works beside these drivers of the kernel instead of without them. */
const SHARING_DRIVERS: ReadonlySet<string> = new Set(["mlx4_core", "mlx5_core"]);

/** How long the kernel's driver may take to make its link again, and udev to give that its name. */
const LINK_WITHIN = seconds(10);
const LOOK_EVERY = millis(50);

/** Whether VPP could have it from the kernel, by what is known of it without its link. @throws UplinkError */
export async function checkDevice({ pci, driver: wanted }: DpdkChoice, bus: PciBus): Promise<PciDevice> {
  const found = await bus.find(pci);
  if (!found) throw new UplinkError(`vpp.uplink.pci: there is no PCI device ${pci}`);
  const { driver = "none" } = found;
  if (SHARING_DRIVERS.has(driver)) {
    const why = `${pci} has the driver ${driver}, which keeps its link`;
    throw new UplinkError(`vpp.uplink.pci: ${why}: take af-xdp or af-packet`);
  }
  const candidates = wanted === "auto" ? USER_DRIVERS : [wanted];
  for (const candidate of candidates) if (await bus.hasDriver(candidate)) return found;
  throw new UplinkError(`vpp.uplink.driver: the kernel has no driver ${candidates.join(" or ")} (modprobe)`);
}

/** What the link of a device has, for the record. Changes nothing. @throws UplinkError */
export async function readDevice(
  choice: DpdkChoice,
  { bus, links: kernel }: Devices,
  nodeIPs: readonly IpAddress[] | undefined,
): Promise<TakenLinkValue & { readonly device: TakenDevice }> {
  const { pci } = choice;
  const { driver = "none", links } = await checkDevice(choice, bus);
  const [link, ...others] = links;
  if (link === undefined) {
    const why = `the kernel has no link of ${pci} (driver: ${driver}), so nobody knows its addresses`;
    throw new UplinkError(`vpp.uplink.pci: ${why}; give it to the kernel's driver first`);
  }
  if (others.length > 0) {
    throw new UplinkError(`vpp.uplink.pci: ${pci} has several links, which would all be lost: ${links.join(", ")}`);
  }
  const state = await kernel.find(link);
  if (!state) throw new UplinkError(`vpp.uplink.pci: the link ${link} of ${pci} is gone`);
  const { addresses, routes, gro, mac, mtu } = state;
  checkAddresses(`vpp.uplink.pci: ${link} (${pci})`, addresses, nodeIPs);
  return { link, addresses, routes, gro, requires: [], device: { pci, driver, mac, mtu } };
}

/** @throws UplinkError when a link has no address that the node could be known by. */
export function checkAddresses(
  what: string,
  addresses: readonly string[],
  nodeIPs: readonly IpAddress[] | undefined,
): void {
  if (addresses.length === 0) throw new UplinkError(`${what} has no address to take over`);
  if (nodeIPs === undefined || addresses.some((cidr) => nodeIPs.some((ip) => cidr.startsWith(`${ip}/`)))) return;
  throw new UplinkError(`${what} has none of network.nodeIPs (${nodeIPs.join(", ")}), only ${addresses.join(", ")}`);
}

/** What startup.conf says of a device that was recorded. */
export function dpdkConf({ pci }: TakenDevice, { driver, queues }: DpdkChoice): NonNullable<StartupConf["dpdk"]> {
  const device: DpdkDevice = { pci, name: DPDK_DEVICE, rxQueues: queues };
  return { devices: [device], ...(driver === "auto" ? {} : { uioDriver: driver }) };
}

/** VPP leaves devices alone whose links are up: it would cut off somebody. The record has what goes with that. */
export async function letGo(pci: string, { bus, links }: Devices): Promise<void> {
  for (const link of (await bus.find(pci))?.links ?? []) await links.set(link, false);
}

/**
 * Gives the device, which no VPP has any more, to the driver that had it, and brings up the link that the kernel makes of
 * it. Resolves with that link, under whichever name it comes back; `undefined` when the device is gone. Can be repeated.
 * @throws UplinkError
 */
export async function giveBackDevice(
  { link, device }: { readonly link: string; readonly device: TakenDevice },
  { bus, links }: Devices,
  clock: Clock,
): Promise<{ readonly name: string; readonly found: FoundLink } | undefined> {
  if (!(await bus.find(device.pci))) return undefined;
  await bus.give(device.pci, device.driver);
  const until = clock.now() + LINK_WITHIN;
  for (;;) {
    const there = (await bus.find(device.pci))?.links ?? [];
    const isLate = clock.now() >= until;
    const name = there.includes(link) ? link : isLate ? there[0] : undefined;
    if (name !== undefined) {
      await links.set(name, true);
      const found = await links.find(name);
      if (found) return { name, found };
    }
    if (isLate) {
      throw new UplinkError(`${device.driver} has made no link of ${device.pci} within ${LINK_WITHIN / 1000} s`);
    }
    await sleep(clock, LOOK_EVERY);
  }
}
