/*
 * Takes a device, and gives it back, in a network namespace of its own (unshare -n): the links are the kernel's, the PCI bus
 * is a directory whose device has been given back to its driver already. Prints what the link had, and has.
 */
import { execFileSync } from "node:child_process";
import { systemClock } from "../../../src/base/clock/clock.ts";
import { retreat } from "../../../src/dataplane/vpp/retreat.ts";
import { letGo, readDevice } from "../../../src/dataplane/vpp/uplink/device.ts";
import { kernelLinks } from "../../../src/dataplane/vpp/uplink/links.ts";
import { PciBus } from "../../../src/dataplane/vpp/uplink/pci.ts";
import { FakeRecords } from "./fake-links.ts";
import { PciTree } from "./pci-tree.ts";

export interface GiveBackReport {
  readonly recorded: unknown;
  readonly flagsBetween: string;
  readonly found: unknown;
  readonly records: number;
  readonly retreat: unknown;
}

const PCI = "0000:02:00.0";
const LINK = "hdens3";

async function run(): Promise<GiveBackReport> {
  const ip = (command: string): string => execFileSync("ip", command.split(" "), { encoding: "utf8" });
  const addLink = (): void => {
    ip(`link add ${LINK} type veth peer name hdpeer`);
    for (const name of [LINK, "hdpeer"]) ip(`link set ${name} up`);
  };
  addLink();
  ip(`addr add 192.0.2.1/24 dev ${LINK}`);
  ip(`-6 addr add 2001:db8::1/64 dev ${LINK} nodad`);
  ip("route add default via 192.0.2.254 metric 7");
  ip("-6 route add default via 2001:db8::fe");
  using tree = new PciTree({ pci: PCI, driver: "ixgbe", links: [LINK] });
  tree.addDriver("vfio-pci");
  const devices = { bus: new PciBus(tree.root), links: kernelLinks };
  const record = await readDevice({ kind: "dpdk", pci: PCI, driver: "auto", queues: 1 }, devices, undefined);
  await letGo(PCI, devices);
  const flagsBetween = ip(`-br link show ${LINK}`).split(/\s+/)[1] ?? "";
  // As it comes back from a driver: another link of the same name, down.
  ip(`link del ${LINK}`);
  addLink();
  ip(`link set ${LINK} down`);
  const takenLinks = new FakeRecords(() => {}, record);
  const done = await retreat({ runtimeDir: tree.root, takenLinks, clock: systemClock, devices });
  return {
    recorded: record,
    flagsBetween,
    found: await kernelLinks.find(LINK),
    records: takenLinks.all().size,
    retreat: done,
  };
}

if (process.argv[2] === "run") process.stdout.write(JSON.stringify(await run()));
