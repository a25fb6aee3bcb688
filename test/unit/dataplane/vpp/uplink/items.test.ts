import { describe, expect, it } from "vitest";
import { ABF_POLICIES } from "../../../../../src/dataplane/vpp/names.ts";
import { renderLocalNode } from "../../../../../src/dataplane/vpp/nodes/renderer.ts";
import { dropChainKey } from "../../../../../src/dataplane/vpp/shared-device.ts";
import type { UplinkChoice } from "../../../../../src/dataplane/vpp/uplink/choice.ts";
import { addressKey, HOST_LINK, linkKey, takenLinkKey } from "../../../../../src/models/linux.ts";
import { abfAttachmentKey } from "../../../../../src/models/vpp/abf.ts";
import { aclKey } from "../../../../../src/models/vpp/acl.ts";
import { interfaceKey, interfaceUpKey } from "../../../../../src/models/vpp/interface.ts";
import { vppAddressKey, vppRouteKey } from "../../../../../src/models/vpp/l3.ts";
import type { LocalNodeRow } from "../../../../../src/nodes/api.ts";
import { localRow } from "../../../../support/linux/rows.ts";
import { byKey, flawsOf, UPLINK } from "../../../../support/vpp/rendered.ts";

const NAME = "uplink-eth0";
const rendered = (by?: UplinkChoice) => [
  ...renderLocalNode(localRow(), { uplinks: [{ ...UPLINK, ...(by ? { by } : {}) }], netnsId: "4026531840" }),
];
const PACKET: UplinkChoice = { kind: "af-packet" };
const XDP: UplinkChoice = { kind: "af-xdp", mode: "copy", queues: 2, program: "/lib/hd.o" };
const DPDK: UplinkChoice = { kind: "dpdk", pci: "0000:02:00.0", driver: "auto", queues: 1 };

describe("pings of a node's own IPv6 addresses from pods elsewhere", () => {
  const overlay = { kind: "none" } as const;
  const items = (servesServices: boolean, more: Partial<LocalNodeRow>) =>
    byKey([
      ...renderLocalNode({ ...localRow(), ...more }, { uplinks: [UPLINK], netnsId: "4026531840", servesServices }),
    ]);

  it("are for the host to answer where there are services and no overlay", () => {
    const found = items(true, { overlay });
    expect(
      flawsOf(
        Object.entries(found).map(([key, value]) => ({ key, value })),
        ["eth0"],
      ),
    ).toEqual([]);
    expect(found[aclKey("pings-6")]).toMatchObject({
      rules: [{ action: "permit", dst: "fd00::1/128", proto: 58, icmpType: [128, 128] }],
    });
    const attachment = { interface: NAME, policy: ABF_POLICIES.pings, priority: 1 };
    expect(found).toHaveProperty([abfAttachmentKey(attachment)]);
  });

  it("are VPP's otherwise", () => {
    for (const found of [
      items(false, { overlay }),
      items(true, {}),
      items(true, { overlay, clusterCIDRs: ["10.0.0.0/8"] }),
    ]) {
      expect(found).not.toHaveProperty([aclKey("pings-6")]);
    }
  });
});

describe("an uplink in VPP", () => {
  it.each([[PACKET], [XDP], [{ kind: "af-xdp", mode: "auto", queues: "all" } as const]])(
    "has what it needs, with the kernel's link under it: %o",
    (by) => {
      expect(flawsOf(rendered(by), ["eth0"])).toEqual([]);
      expect(flawsOf(rendered(by), [])).not.toEqual([]);
    },
  );

  it("has what it needs without any link of the kernel's, by DPDK", () => {
    expect(flawsOf(rendered(DPDK), [])).toEqual([]);
  });

  it("is by AF_PACKET where nothing else is asked for", () => {
    expect(rendered()).toEqual(rendered(PACKET));
    expect(byKey(rendered())[interfaceKey(NAME)]).toMatchObject({ kind: "af-packet", device: "eth0", offload: false });
  });

  it("is the kernel's link by AF_XDP, which the kernel keeps its hands off as well", () => {
    const items = byKey(rendered(XDP));
    expect(items[interfaceKey(NAME)]).toEqual({
      kind: "af-xdp",
      name: NAME,
      device: "eth0",
      mac: UPLINK.mac,
      mtu: 1500,
      rxQueues: 2,
      mode: "copy",
      program: "/lib/hd.o",
      requires: [linkKey("eth0")],
    });
    const rest = (all: Record<string, unknown>) => ({ ...all, [interfaceKey(NAME)]: undefined });
    expect(rest(items)).toEqual(rest(byKey(rendered(PACKET))));
  });

  it("is the device itself by DPDK: nothing of it is the kernel's to keep or to give", () => {
    const items = byKey(rendered(DPDK));
    expect(items[interfaceKey(NAME)]).toEqual({ kind: "physical", name: NAME, device: "dpdk-uplink", mtu: 1500 });
    expect(items).not.toHaveProperty([dropChainKey("eth0")]);
    expect(items).not.toHaveProperty([takenLinkKey("eth0")]);
    const missing = Object.keys(byKey(rendered(PACKET))).filter((key) => !(key in items));
    expect(missing.toSorted()).toEqual([dropChainKey("eth0"), takenLinkKey("eth0")].toSorted());
  });

  it.each([[PACKET], [XDP], [DPDK]])("has the node's addresses and routes, as the host has them: %o", (by) => {
    const items = byKey(rendered(by));
    const address = vppAddressKey({ interface: NAME, address: "192.168.0.1/24" });
    expect(items[interfaceUpKey(NAME)]).toMatchObject({ requires: expect.arrayContaining([address]) });
    expect(items).toHaveProperty([vppRouteKey({ vrf: 0, dst: "::/0" })]);
    expect(items).toHaveProperty([addressKey({ link: HOST_LINK, end: "node", address: "192.168.0.1", prefix: 32 })]);
  });
});
