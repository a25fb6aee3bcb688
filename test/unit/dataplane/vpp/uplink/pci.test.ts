import { describe, expect, it } from "vitest";
import { PciBus } from "../../../../../src/dataplane/vpp/uplink/pci.ts";
import { PciTree } from "../../../../support/vpp/pci-tree.ts";

const NIC = "0000:02:00.0";

describe("the PCI bus in sysfs", () => {
  it("tells a device's driver and the links it is behind", async () => {
    using tree = new PciTree(
      { pci: NIC, driver: "ixgbe", links: ["ens3"] },
      { pci: "0000:02:00.1", driver: "ixgbe", links: ["ens4"] },
      { pci: "0000:03:00.0", driver: "virtio-pci", links: ["eth0"], below: "virtio2" },
      { pci: "0000:04:00.0", driver: "mlx4_core", links: ["ib0", "ib1"] },
      { pci: "0000:05:00.0" },
    );
    const bus = new PciBus(tree.root);
    expect(await bus.find(NIC)).toEqual({ driver: "ixgbe", links: ["ens3"] });
    expect(await bus.find("0000:03:00.0")).toEqual({ driver: "virtio-pci", links: ["eth0"] });
    expect(await bus.find("0000:04:00.0")).toEqual({ driver: "mlx4_core", links: ["ib0", "ib1"] });
    expect(await bus.find("0000:05:00.0")).toEqual({ links: [] });
    expect(await bus.find("0000:06:00.0")).toBeUndefined();
  });

  it("does not take a USB controller for the device of a link that is plugged in there", async () => {
    using tree = new PciTree({ pci: NIC, driver: "xhci_hcd", links: ["enx0"], below: "usb1/1-1/1-1:1.0" });
    expect(await new PciBus(tree.root).find(NIC)).toEqual({ driver: "xhci_hcd", links: [] });
  });

  it("knows the kernel's drivers", async () => {
    using tree = new PciTree();
    tree.addDriver("vfio-pci");
    const bus = new PciBus(tree.root);
    expect([await bus.hasDriver("vfio-pci"), await bus.hasDriver("igb_uio")]).toEqual([true, false]);
  });

  it("gives a device to the driver that is named, and to no other one, for this once", async () => {
    using tree = new PciTree({ pci: NIC, driver: "vfio-pci" });
    await new PciBus(tree.root).give(NIC, "ixgbe");
    expect(tree.read("bus/pci/drivers/vfio-pci/unbind")).toBe(NIC);
    expect(tree.read("bus/pci/drivers_probe")).toBe(NIC);
    expect(tree.read(`bus/pci/devices/${NIC}/driver_override`)).toBe("\n");
  });

  it("gives a device that no driver has", async () => {
    using tree = new PciTree({ pci: NIC });
    await new PciBus(tree.root).give(NIC, "ixgbe");
    expect(tree.read("bus/pci/drivers_probe")).toBe(NIC);
  });

  it("leaves a device alone that its driver has", async () => {
    using tree = new PciTree({ pci: NIC, driver: "ixgbe" });
    await new PciBus(tree.root).give(NIC, "ixgbe");
    expect(tree.read("bus/pci/drivers/ixgbe/unbind")).toBe("");
    expect(tree.read("bus/pci/drivers_probe")).toBe("");
    expect(tree.read(`bus/pci/devices/${NIC}/driver_override`)).toBe("(null)\n");
  });
});
