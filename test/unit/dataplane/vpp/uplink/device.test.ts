import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { seconds } from "../../../../../src/base/clock/clock.ts";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import { renderStartupConf } from "../../../../../src/dataplane/vpp/supervisor/startup-conf.ts";
import type { DpdkChoice } from "../../../../../src/dataplane/vpp/uplink/choice.ts";
import { dpdkConf, giveBackDevice, letGo, readDevice } from "../../../../../src/dataplane/vpp/uplink/device.ts";
import { UplinkError } from "../../../../../src/dataplane/vpp/uplink/errors.ts";
import type { Devices } from "../../../../../src/dataplane/vpp/uplink/links.ts";
import { PciBus } from "../../../../../src/dataplane/vpp/uplink/pci.ts";
import { FakeLinks, foundLink } from "../../../../support/vpp/fake-links.ts";
import { PciTree } from "../../../../support/vpp/pci-tree.ts";

const NIC = "0000:02:00.0";
const CHOICE: DpdkChoice = { kind: "dpdk", pci: NIC, driver: "auto", queues: 2 };
const DEVICE = { pci: NIC, driver: "ixgbe", mac: "02:00:00:00:00:07", mtu: 1500 };

let tree: PciTree;
let links: FakeLinks;
let devices: Devices;
beforeEach(() => {
  tree = new PciTree();
  links = new FakeLinks();
  devices = { bus: new PciBus(tree.root), links };
});
afterEach(() => tree[Symbol.dispose]());

describe("a device that VPP is to have", () => {
  it("is recorded with all that its link has, and nothing is changed", async () => {
    tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
    tree.addDriver("vfio-pci");
    links.add("ens3");
    const { addresses, routes } = foundLink();
    expect(await readDevice(CHOICE, devices, [parseIp("fd00::1")])).toEqual({
      link: "ens3",
      addresses,
      routes,
      gro: true,
      requires: [],
      device: DEVICE,
    });
    expect(links.changes).toEqual([]);
  });

  const cases: [string, () => Partial<DpdkChoice>, RegExp][] = [
    ["there is none", () => ({ pci: "0000:09:00.0" }), /^vpp\.uplink\.pci: there is no PCI device 0000:09:00\.0$/],
    [
      "the kernel has no link of it",
      () => {
        tree.add({ pci: NIC, driver: "vfio-pci" });
        return {};
      },
      /^vpp\.uplink\.pci: the kernel has no link of 0000:02:00\.0 \(driver: vfio-pci\), so nobody knows its addresses/,
    ],
    [
      "its link is in another namespace",
      () => {
        tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
        tree.addDriver("vfio-pci");
        return {};
      },
      /the link ens3 of 0000:02:00\.0 is gone/,
    ],
    [
      "its link has no address",
      () => {
        tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
        tree.addDriver("vfio-pci");
        links.add("ens3", foundLink({ addresses: [] }));
        return {};
      },
      /^vpp\.uplink\.pci: ens3 \(0000:02:00\.0\) has no address to take over$/,
    ],
    [
      "it has none of the addresses that the node is to be known by",
      () => {
        tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
        tree.addDriver("vfio-pci");
        links.add("ens3", foundLink({ addresses: ["192.0.2.19/24"] }));
        return {};
      },
      /has none of network\.nodeIPs \(192\.0\.2\.1\), only 192\.0\.2\.19\/24$/,
    ],
    [
      "it has several links",
      () => {
        tree.add({ pci: NIC, driver: "nfp", links: ["p0", "p1"] });
        tree.addDriver("vfio-pci");
        return {};
      },
      /several links, which would all be lost: p0, p1/,
    ],
    [
      "DPDK would not take it from the kernel",
      () => {
        tree.add({ pci: NIC, driver: "mlx5_core", links: ["ens3"] });
        return {};
      },
      /has the driver mlx5_core, which keeps its link: take af-xdp or af-packet/,
    ],
    [
      "the kernel has no driver to hand it to VPP",
      () => {
        tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
        return {};
      },
      /^vpp\.uplink\.driver: the kernel has no driver vfio-pci or uio_pci_generic or igb_uio \(modprobe\)$/,
    ],
    [
      "the kernel has another driver than the one asked for",
      () => {
        tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
        tree.addDriver("uio_pci_generic");
        return { driver: "vfio-pci" };
      },
      /^vpp\.uplink\.driver: the kernel has no driver vfio-pci \(modprobe\)$/,
    ],
  ];
  it.each(cases)("is refused where %s", async (_what, arrange, words) => {
    const choice = { ...CHOICE, ...arrange() };
    const refused = readDevice(choice, devices, [parseIp("192.0.2.1")]);
    await expect(refused).rejects.toThrow(UplinkError);
    await expect(refused).rejects.toThrow(words);
  });

  it("is VPP's by startup.conf, under a name that is known beforehand", () => {
    const conf = { runtimeDir: "/run/hd/vpp", apiPrefix: "hd1", buffers: 8192 };
    const text = renderStartupConf({ ...conf, dpdk: dpdkConf(DEVICE, { ...CHOICE, driver: "vfio-pci" }) });
    expect(text).toContain(
      `dpdk {\n  uio-driver vfio-pci\n  no-hugetlb\n  dev ${NIC} { name dpdk-uplink num-rx-queues 2 }\n}`,
    );
    expect(renderStartupConf({ ...conf, dpdk: dpdkConf(DEVICE, CHOICE) })).not.toContain("uio-driver");
  });

  it("has its links down before VPP starts, which leaves it alone otherwise", async () => {
    tree.add({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
    await letGo(NIC, devices);
    expect(links.changes).toEqual(["ens3 down"]);
    tree.removeLink("ens3");
    await letGo(NIC, devices);
    expect(links.changes).toHaveLength(1);
  });
});

describe("a device that the kernel gets back", () => {
  const clock = new ManualClock();
  const back = () => giveBackDevice({ link: "ens3", device: DEVICE }, devices, clock);
  /** Time goes on until it is settled. */
  const passing = async <T>(given: Promise<T>): Promise<T> => {
    let isOver = false;
    const over = (): void => void (isOver = true);
    given.then(over, over);
    while (!isOver) await clock.advanceAsync(seconds(0.05));
    return given;
  };

  it("goes to the driver that had it, and its link is brought up", async () => {
    tree.add({ pci: NIC, driver: "vfio-pci", links: ["ens3"] });
    links.add("ens3");
    expect(await back()).toEqual({ name: "ens3", found: foundLink() });
    expect(tree.read("bus/pci/drivers/vfio-pci/unbind")).toBe(NIC);
    expect(links.changes).toEqual(["ens3 up"]);
  });

  it("is waited for until its link has the name that it had", async () => {
    tree.add({ pci: NIC, driver: "vfio-pci", links: ["eth0"] });
    links.add("eth0");
    links.add("ens3");
    const given = back();
    await clock.advanceAsync(seconds(5), seconds(0.05));
    expect(links.changes).toEqual([]);
    tree.removeLink("eth0");
    tree.addLink(NIC, "ens3");
    expect((await passing(given))?.name).toBe("ens3");
  });

  it("comes back under another name, if need be", async () => {
    tree.add({ pci: NIC, driver: "vfio-pci", links: ["eth7"] });
    links.add("eth7");
    const since = clock.now();
    expect((await passing(back()))?.name).toBe("eth7");
    expect(clock.now() - since).toBeGreaterThanOrEqual(10_000);
  });

  it("is told of when its driver makes no link", async () => {
    tree.add({ pci: NIC, driver: "vfio-pci" });
    await expect(passing(back())).rejects.toThrow("ixgbe has made no link of 0000:02:00.0 within 10 s");
  });

  it("may be gone from the machine", async () => {
    expect(await back()).toBeUndefined();
  });
});
