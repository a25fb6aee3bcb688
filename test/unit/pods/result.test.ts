import { describe, expect, it } from "vitest";
import type { PodRow } from "../../../src/pods/api.ts";
import { sandboxId } from "../../../src/pods/api.ts";
import { podResult } from "../../../src/pods/result.ts";

const gateways = { ipv4: "169.254.1.1", ipv6: "fe80::1" };
const row = (ips: readonly string[], more: Partial<PodRow> = {}): PodRow => ({
  id: sandboxId("c1", "eth0"),
  netns: "/run/netns/c1",
  netnsId: "1:2",
  ifName: "eth0",
  hostIf: "hd0123456789abc",
  ips,
  mac: "02:00:00:00:00:01",
  mtu: 1450,
  hostPorts: [],
  bandwidth: undefined,
  ...more,
});

const v4 = { address: "10.0.0.2/32", gateway: "169.254.1.1", interface: 1 };
const v6 = { address: "fd00::2/128", gateway: "fe80::1", interface: 1 };

describe("the result of an ADD", () => {
  it.each([
    [["10.0.0.2"], [v4], [{ dst: "0.0.0.0/0", gw: "169.254.1.1" }]],
    [["fd00::2"], [v6], [{ dst: "::/0", gw: "fe80::1" }]],
    [
      ["10.0.0.2", "fd00::2"],
      [v4, v6],
      [
        { dst: "0.0.0.0/0", gw: "169.254.1.1" },
        { dst: "::/0", gw: "fe80::1" },
      ],
    ],
  ])("of a pod with %j has an address and a default route for each family", (ips, expected, routes) => {
    expect(podResult(row(ips), gateways)).toEqual({
      interfaces: [
        { name: "hd0123456789abc", mtu: 1450 },
        { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450, sandbox: "/run/netns/c1" },
      ],
      ips: expected,
      routes,
      dns: {},
    });
  });

  it("of a pod with a tap has nothing on the node", () => {
    const { interfaces, ips } = podResult(row(["10.0.0.2"], { link: "tap" }), gateways);
    expect(interfaces).toEqual([{ name: "eth0", mac: "02:00:00:00:00:01", mtu: 1450, sandbox: "/run/netns/c1" }]);
    expect(ips).toEqual([{ ...v4, interface: 0 }]);
  });

  it("names the metric of a further interface's routes", () => {
    const { routes } = podResult(row(["10.0.0.2"], { routeMetric: 2048 }), gateways);
    expect(routes).toEqual([{ dst: "0.0.0.0/0", gw: "169.254.1.1", priority: 2048 }]);
  });
});
