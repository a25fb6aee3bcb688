import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StartupConf } from "../../../../../src/dataplane/vpp/supervisor/startup-conf.ts";
import { type DpdkChoice, isTakenFor, type UplinkChoice } from "../../../../../src/dataplane/vpp/uplink/choice.ts";
import { DPDK_DEVICE } from "../../../../../src/dataplane/vpp/uplink/device.ts";
import { UplinkError } from "../../../../../src/dataplane/vpp/uplink/errors.ts";
import { OwnVpp, type OwnVppOptions, type Supervised } from "../../../../../src/dataplane/vpp/uplink/own-vpp.ts";
import { PciBus } from "../../../../../src/dataplane/vpp/uplink/pci.ts";
import type { TakenLinkValue } from "../../../../../src/models/linux.ts";
import { FakeLinks, FakeRecords, foundLink } from "../../../../support/vpp/fake-links.ts";
import { PciTree } from "../../../../support/vpp/pci-tree.ts";

const NIC = "0000:02:00.0";
const CHOICE: DpdkChoice = { kind: "dpdk", pci: NIC, driver: "vfio-pci", queues: 1 };
const TAKEN: TakenLinkValue = {
  link: "ens3",
  addresses: foundLink().addresses,
  routes: foundLink().routes,
  gro: true,
  requires: [],
  device: { pci: NIC, driver: "ixgbe", mac: "02:00:00:00:00:07", mtu: 1500 },
};

/** What was done, in order. */
let done: string[];
let tree: PciTree;
let links: FakeLinks;
beforeEach(() => {
  done = [];
  tree = new PciTree({ pci: NIC, driver: "ixgbe", links: ["ens3"] });
  tree.addDriver("vfio-pci");
  links = new FakeLinks();
  links.add("ens3");
});
afterEach(() => tree[Symbol.dispose]());

function options(more: Partial<OwnVppOptions> = {}): OwnVppOptions {
  const start = async (dpdk: StartupConf["dpdk"]): Promise<Supervised> => {
    await Promise.resolve();
    const devices = dpdk?.devices.map(({ pci }) => pci).join() ?? "no device";
    done.push(`start with ${devices}, link ${links.changes.at(-1) ?? "as it was"}`);
    return { close: async (how) => void done.push(how?.keep === true ? "keep" : "stop") };
  };
  return {
    start,
    uplink: CHOICE,
    takenLinks: new FakeRecords((what) => done.push(what)),
    devices: { bus: new PciBus(tree.root), links },
    interfaces: () => Promise.resolve(["local0", DPDK_DEVICE]),
    giveBack: () => Promise.resolve(done.push("give back")),
    ...more,
  };
}

describe("a VPP with a device of DPDK's", () => {
  it("has it only after all that the kernel had is recorded, and its link is down", async () => {
    const own = await OwnVpp.start(options());
    expect(done).toEqual(["start with no device, link as it was"]);
    await own.takeDevice(CHOICE, undefined);
    await own.close({ keep: true });
    expect(done.slice(1)).toEqual(["record ens3", "stop", `start with ${NIC}, link ens3 down`, "keep"]);
  });

  it("has it from its start where it was taken before, the link put down again after the machine's restart", async () => {
    await OwnVpp.start(options({ takenLinks: new FakeRecords(() => {}, TAKEN) }));
    expect(done).toEqual([`start with ${NIC}, link ens3 down`]);
  });

  it("is left alone by a device that can't be had", async () => {
    const own = await OwnVpp.start(options());
    await expect(own.takeDevice({ ...CHOICE, pci: "0000:09:00.0" }, undefined)).rejects.toThrow(UplinkError);
    expect(done).toEqual(["start with no device, link as it was"]);
  });

  it("gives it back when VPP starts without it", async () => {
    const own = await OwnVpp.start(options({ interfaces: () => Promise.resolve(["local0"]) }));
    await expect(own.takeDevice(CHOICE, undefined)).rejects.toThrow(
      /VPP could not have 0000:02:00\.0, which is the kernel's/,
    );
    expect(done.slice(3)).toEqual([`start with ${NIC}, link ens3 down`, "stop", "give back"]);
  });

  it("gives it back when VPP does not start with it", async () => {
    const { start, ...more } = options();
    const failing = (dpdk: StartupConf["dpdk"]) => (dpdk ? Promise.reject(new Error("no such driver")) : start(dpdk));
    const own = await OwnVpp.start({ ...more, start: failing });
    const refused = own.takeDevice(CHOICE, undefined);
    await expect(refused).rejects.toMatchObject({ code: "NO_UPLINK", cause: { message: "no such driver" } });
    expect(done.at(-1)).toBe("give back");
  });

  it("has no device where another kind of uplink is asked for", async () => {
    await OwnVpp.start(options({ uplink: { kind: "af-packet" } }));
    expect(done).toEqual(["start with no device, link as it was"]);
  });
});

describe("what was taken", () => {
  const { device: _, ...shared } = TAKEN;
  const xdp = (link?: string): UplinkChoice => ({ kind: "af-xdp", mode: "auto", queues: "all", link });
  it.each<[boolean, string, UplinkChoice, TakenLinkValue[]]>([
    [true, "nothing, for a device", CHOICE, []],
    [true, "a device, for itself", CHOICE, [TAKEN]],
    [false, "a device, for another one", { ...CHOICE, pci: "0000:02:00.1" }, [TAKEN]],
    [false, "a link, for its device", CHOICE, [shared]],
    [false, "a device, for its link", { kind: "af-packet" }, [TAKEN]],
    [true, "a link, for a link that is found", { kind: "af-packet" }, [shared]],
    [true, "a link, for AF_XDP in place of AF_PACKET", xdp(), [shared]],
    [true, "a link, for itself by name", xdp("ens3"), [shared]],
    [false, "a link, for another one", xdp("ens4"), [shared]],
    [false, "a device, for a link by AF_XDP", xdp(), [TAKEN]],
  ])("%s: stays taken: %s", (stays, _what, choice, taken) => {
    expect(isTakenFor(choice, new Map(taken.map((value) => [value.link, value])))).toBe(stays);
  });
});
