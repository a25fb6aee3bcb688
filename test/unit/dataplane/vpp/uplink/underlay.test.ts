import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import { VppUnderlay, type VppUnderlayOptions } from "../../../../../src/dataplane/vpp/underlay.ts";
import type { UplinkChoice } from "../../../../../src/dataplane/vpp/uplink/choice.ts";
import type { TakenLinkValue } from "../../../../../src/models/linux.ts";
import { FakeLinks, FakeRecords, foundLink } from "../../../../support/vpp/fake-links.ts";

const XDP = (link?: string): UplinkChoice => ({ kind: "af-xdp", mode: "auto", queues: "all", link });
const DPDK: UplinkChoice = { kind: "dpdk", pci: "0000:02:00.0", driver: "auto", queues: 1 };

/** A node whose default routes lead out by eth0, with a second link ens3. */
function underlay(uplink: UplinkChoice, more: Partial<VppUnderlayOptions> = {}) {
  const links = new FakeLinks();
  links.add("eth0", foundLink({ addresses: ["192.0.2.1/24"] }));
  links.add("ens3");
  links.add("bare", foundLink({ addresses: [] }));
  const takenLinks = new FakeRecords();
  const found = { uplinks: [{ link: "eth0", address: parseIp("192.0.2.1"), mtu: 1500 }], raLinks: [] };
  const linux = {
    underlay: () => Promise.resolve(found),
    findLink: (name: string) => links.find(name),
  } as unknown as VppUnderlayOptions["linux"];
  const vpp = {} as unknown as VppUnderlayOptions["vpp"];
  const log = {} as unknown as VppUnderlayOptions["log"];
  const takeDevice = () => Promise.reject(new Error("no device is taken here"));
  const parts = { takenLinks, uplink, takeDevice, vpp, linux, clock: new ManualClock(), log, ...more };
  return { node: new VppUnderlay(parts), takenLinks };
}

describe("what VPP takes for the uplink", () => {
  it.each<[string, UplinkChoice, string]>([
    ["the link of the default routes", { kind: "af-packet" }, "eth0"],
    ["the link of the default routes by AF_XDP, too", XDP(), "eth0"],
    ["the link that is named", XDP("ens3"), "ens3"],
  ])("is %s", async (_what, by, link) => {
    const { node, takenLinks } = underlay(by);
    const found = await node.find(undefined);
    expect([...takenLinks.all().keys()]).toEqual([link]);
    expect(found.uplinks.map((uplink) => uplink.link)).toContain(link);
    expect(node.uplinks).toEqual([expect.objectContaining({ link, by })]);
  });

  it.each([
    ["nope", undefined, /^vpp\.uplink\.link: this node has no link nope$/],
    ["bare", undefined, /^vpp\.uplink\.link: bare has no address to take over$/],
    [
      "ens3",
      ["192.0.2.1"],
      /^vpp\.uplink\.link: ens3 has none of network\.nodeIPs \(192\.0\.2\.1\), only 192\.168\.0\.1\/24/,
    ],
  ])("is refused, and nothing recorded: %s", async (link, nodeIPs, words) => {
    const { node, takenLinks } = underlay(XDP(link));
    await expect(node.find(nodeIPs?.map(parseIp))).rejects.toThrow(words);
    expect(takenLinks.all().size).toBe(0);
  });

  it("is a device, whose record alone tells its address and MTU: the kernel has no such link any more", async () => {
    const device = { pci: "0000:02:00.0", driver: "ixgbe", mac: "02:00:00:00:00:09", mtu: 9000 };
    const addresses = ["192.168.7.1/24"];
    const record: TakenLinkValue = { link: "gone0", addresses, routes: [], gro: false, requires: [], device };
    const takenLinks = new FakeRecords();
    const { node } = underlay(DPDK, { takenLinks, takeDevice: () => takenLinks.set("gone0", record) });
    expect(await node.find(undefined)).toEqual({
      uplinks: [{ link: "gone0", address: "192.168.7.1", mtu: 9000 }],
      raLinks: [],
    });
    expect(node.uplinks).toEqual([expect.objectContaining({ mac: device.mac, mtu: 9000, by: DPDK })]);
  });
});
