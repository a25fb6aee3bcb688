import { describe, expect, it } from "vitest";
import type { Element } from "../../../../../src/dataplane/vpp/binapi/index.ts";
import { interfaceTag } from "../../../../../src/dataplane/vpp/interface/tag.ts";
import { tapValue } from "../../../../../src/dataplane/vpp/interface/tap.ts";
import { renderPod } from "../../../../../src/dataplane/vpp/pods/renderer.ts";
import { podLinkKind } from "../../../../../src/dataplane/vpp/pods/tap.ts";
import { GATEWAY_MAC } from "../../../../../src/models/linux.ts";
import { type TapValue, validateInterface } from "../../../../../src/models/vpp/interface.ts";
import { podRow } from "../../../../support/pods/rows.ts";
import { byKey } from "../../../../support/vpp/rendered.ts";

const row = podRow({ link: "tap" });
const NAME = row.hostIf;
const RATE = 1_000_000;
const limits = { ingressRate: 0, ingressBurst: 0, egressRate: 0, egressBurst: 0 };

describe("a new pod's interface", () => {
  const pod = { netns: "/run/netns/c1", bandwidth: undefined };

  it.each([
    ["auto", true, "tap"],
    ["auto", false, "veth"],
    ["tap", false, "tap"],
    ["veth", true, "veth"],
  ] as const)("asked for as %s, with /dev/vhost-net: %s, is a %s", (choice, has, kind) => {
    expect(podLinkKind(choice, has, pod)).toBe(kind);
  });

  it.each([
    ["is limited in what it gets", { bandwidth: { ...limits, ingressRate: RATE, ingressBurst: RATE } }],
    ["is limited in what it sends", { bandwidth: { ...limits, egressRate: RATE, egressBurst: RATE } }],
    ["is in a namespace whose path does not fit VPP's message", { netns: `/run/${"n".repeat(60)}` }],
  ])("is a veth pair in any case where the pod %s", (_why, more) => {
    expect(podLinkKind("tap", true, { ...pod, ...more })).toBe("veth");
  });
});

describe("a pod with a tap", () => {
  const items = byKey(renderPod(row, {}));

  it("has the kernel's device, opened by VPP with all offloads, and nothing on the node", () => {
    const { netns, netnsId, ifName, mac, mtu } = row;
    expect(items[`linux/link/${NAME}`]).toEqual({
      ...{ kind: "tap", name: NAME, state: "up" },
      pod: { netns, netnsId, ifName, mac, mtu },
    });
    expect(items[`vpp/interface/${NAME}`]).toEqual({
      ...{ kind: "tap", name: NAME, mac: GATEWAY_MAC, mtu, device: "eth0", netns, hostMac: mac, offload: true },
      requires: [`linux/link/${NAME}`],
    });
    expect(Object.keys(items).filter((key) => key.startsWith("nft/") || key.startsWith("linux/shaper/"))).toEqual([]);
  });

  it("has on it what it has on a veth pair, its neighbours when VPP has set its address", () => {
    const veth = byKey(renderPod(podRow(), {}));
    for (const [key, value] of Object.entries(veth)) {
      if (!/^linux\/(address|neighbour|route)|^vpp\/(?!interface)/.test(key)) continue;
      const requires = key.startsWith("linux/neighbour/") ? { requires: [`vpp/interface/${NAME}`] } : {};
      expect([key, items[key]]).toEqual([key, { ...(value as object), ...requires }]);
    }
  });
});

describe("a tap in VPP's list", () => {
  const value: TapValue = {
    ...{ kind: "tap", name: NAME, mac: GATEWAY_MAC, mtu: 1450, device: "eth0", netns: "/run/netns/c1" },
    ...{ hostMac: "02:00:00:00:00:01", offload: true },
  };

  it("is read as it was asked for, whatever its number is", () => {
    for (const offload of [true, false]) {
      const details = {
        ...{ sw_if_index: 3, id: 17, tap_flags: (offload ? 3 : 0) | 12, dev_name: "tap17" },
        ...{ rx_ring_sz: 256, tx_ring_sz: 256, host_mac_addr: value.hostMac, host_if_name: "eth0" },
        ...{ host_namespace: "/run/netns/c1", host_bridge: "", host_mtu_size: 0 },
        ...{ host_ip4_prefix: "0.0.0.0/0", host_ip6_prefix: "::/0" },
      };
      expect(
        tapValue({ name: NAME, mac: GATEWAY_MAC, mtu: 1450 }, details as Element<"sw_interface_tap_v2_dump">),
      ).toEqual({ ...value, offload });
    }
    expect(interfaceTag(value)).toContain(NAME);
  });

  it("is refused where VPP would cut its namespace's path", () => {
    expect(() => validateInterface({ ...value, netns: `/run/netns/${"n".repeat(52)}` })).not.toThrow();
    expect(() => validateInterface({ ...value, netns: `/run/netns/${"n".repeat(53)}` })).toThrow(/netns/);
  });
});
