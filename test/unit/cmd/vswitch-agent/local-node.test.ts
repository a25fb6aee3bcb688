import { describe, expect, it } from "vitest";
import { localNodeRow } from "../../../../cmd/vswitch-agent/local-node.ts";
import { parseIp } from "../../../../src/base/ip/address.ts";
import { parseNetwork } from "../../../../src/base/ip/cidr.ts";
import type { Underlay } from "../../../../src/dataplane/api.ts";
import { agentConfigSchema } from "../../../../src/infra/config/agent-config.ts";

const identity = { name: "n7", id: 7, subnets: ["10.244.7.0/24", "fd10:244:0:7::/64"].map((c) => parseNetwork(c)) };
const uplink = (address: string, mtu: number) => ({ link: "eth0", address: parseIp(address), mtu });
const [V4, V6] = ["192.0.2.7", "2001:db8::7"];

const row = (network: object, uplinks: readonly [string, number][] = [[V4, 1500]]) => {
  const underlay: Underlay = { uplinks: uplinks.map(([ip, mtu]) => uplink(ip, mtu)), raLinks: ["eth0"] };
  return localNodeRow(agentConfigSchema.parse({ network }), identity, underlay);
};

describe("the MTU of pods", () => {
  it.each([
    ["over an IPv4 underlay", {}, [[V4, 1500]], 1450],
    ["over an IPv6 underlay", {}, [[V6, 1500]], 1430],
    [
      "over both, where IPv4 carries the overlay",
      {},
      [
        [V4, 1500],
        [V6, 1500],
      ],
      1450,
    ],
    ["over jumbo frames", {}, [[V4, 9000]], 8950],
    [
      "over two links, of the smaller",
      {},
      [
        [V4, 9000],
        [V6, 1500],
      ],
      1450,
    ],
    ["without overlay", { overlay: "none" }, [[V4, 1500]], 1500],
    ["without overlay over IPv6", { overlay: "none" }, [[V6, 1400]], 1400],
    ["as configured", { mtu: 1300 }, [[V4, 1500]], 1300],
    ["as configured, with nothing to spare", { mtu: 1450 }, [[V4, 1500]], 1450],
    ["at the least that IPv6 needs", {}, [[V6, 1350]], 1280],
  ] as const)("%s", (_what, network, uplinks, expected) => {
    const found = row(
      network,
      uplinks.map(([ip, mtu]) => [ip, mtu]),
    );
    expect(found.podMtu).toBe(expected);
    if (found.overlay.kind === "vxlan") expect(found.overlay.mtu).toBe(expected);
  });

  it.each([
    [{ mtu: 1451 }, [V4, 1500], "network.mtu: 1451 is more than the underlay leaves (1450 with overlay vxlan)"],
    [{ mtu: 1431 }, [V6, 1500], "network.mtu: 1431 is more than the underlay leaves (1430 with overlay vxlan)"],
    [
      { mtu: 9000, overlay: "none" },
      [V4, 1500],
      "network.mtu: 9000 is more than the underlay leaves (1500 with overlay none)",
    ],
    [{}, [V4, 1329], "network.mtu: the underlay leaves 1279 bytes, IPv6 needs 1280; give links an MTU of 1330"],
    [
      { overlay: "none" },
      [V6, 1279],
      "network.mtu: the underlay leaves 1279 bytes, IPv6 needs 1280; give links an MTU of 1280",
    ],
  ] as const)("%j over %j is refused with what would do", (network, [ip, mtu], expected) => {
    expect(() => row(network, [[ip, mtu]])).toThrow(expected);
  });

  it("needs an underlay", () => {
    expect(() => row({}, [])).toThrow("network.nodeIPs: this node has no address on the underlay");
  });
});

describe("this node's row", () => {
  it("has its subnets with their gateways, and the overlay's end on the underlay", () => {
    expect(
      row({ vxlan: { vni: 9, port: 8472 } }, [
        [V4, 1500],
        [V6, 1500],
      ]),
    ).toEqual({
      name: "n7",
      id: 7,
      podCIDRs: ["10.244.7.0/24", "fd10:244:0:7::/64"],
      gateways: ["10.244.7.1", "fd10:244:0:7::1"],
      clusterCIDRs: ["10.244.0.0/16", "fd10:244::/48"],
      masquerade: true,
      uplinks: [uplink(V4, 1500), uplink(V6, 1500)],
      raLinks: ["eth0"],
      podMtu: 1450,
      overlay: { kind: "vxlan", vni: 9, port: 8472, mac: "12:2b:00:00:00:07", local: V4, mtu: 1450 },
    });
  });

  it("has no overlay where none is wanted", () => {
    expect(row({ overlay: "none", masquerade: { enabled: false } })).toMatchObject({
      overlay: { kind: "none" },
      masquerade: false,
    });
  });

  it.each([
    ["nothing inside another", ["192.0.2.0/24"], ["10.0.0.0/8", "192.0.2.0/24"]],
    ["an exclusion inside a pool", ["10.1.0.0/16"], ["10.0.0.0/8"]],
    ["the same twice", ["192.0.2.0/24", "192.0.2.0/24"], ["10.0.0.0/8", "192.0.2.0/24"]],
    ["a pool inside an exclusion", ["0.0.0.0/0"], ["0.0.0.0/0"]],
    ["each inside the next", ["192.0.2.1/32", "192.0.2.0/24", "192.0.0.0/16"], ["10.0.0.0/8", "192.0.0.0/16"]],
    ["the other family", ["::/0"], ["10.0.0.0/8", "::/0"]],
  ])("names the outermost networks that see pod addresses: %s", (_what, exclude, expected) => {
    const pools = [{ cidr: "10.0.0.0/8", nodePrefix: 24 }];
    expect(row({ pools, masquerade: { exclude } }).clusterCIDRs).toEqual(expected);
  });
});
