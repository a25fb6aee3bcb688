import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import { AddressFlag, addressAdd, Scope } from "../../../../../src/dataplane/linux/netlink/address.ts";
import { type RouteMessage, RouteProtocol, RouteType } from "../../../../../src/dataplane/linux/netlink/route.ts";
import { routeAdd } from "../../../../../src/dataplane/linux/netlink/route-requests.ts";
import { findUnderlay } from "../../../../../src/dataplane/linux/underlay/underlay.ts";
import { VXLAN_LINK } from "../../../../../src/models/linux.ts";
import { FakeNamespace } from "../../../../support/linux/fake-kernel.ts";

interface Given {
  readonly links?: Readonly<Record<string, number>>;
  /** `link address/prefix`, with flags and scope. */
  readonly addresses?: readonly (readonly [link: string, address: string, flags?: number, scope?: number])[];
  readonly routes?: readonly (readonly [link: string, route: Partial<RouteMessage> & { dst: string }])[];
}

async function find({ links = { eth0: 1500, eth1: 9000 }, addresses = [], routes = [] }: Given, nodeIPs?: string[]) {
  const ns = new FakeNamespace();
  const names = Object.keys(links);
  const indexOf = (name: string) => names.indexOf(name) + 1;
  for (const [name, mtu] of Object.entries(links)) ns.addLink({ index: indexOf(name), name, mtu });
  for (const [link, address, flags = 0, scope = Scope.UNIVERSE] of addresses) {
    await ns.request(addressAdd({ index: indexOf(link), address, flags, scope }));
  }
  for (const [link, route] of routes) {
    const oif = route.nexthops ? {} : { oif: indexOf(link) };
    await ns.request(routeAdd({ ...oif, ...route }, "replace"));
  }
  return findUnderlay(ns, nodeIPs?.map(parseIp));
}

const v4 = { dst: "0.0.0.0/0", gateway: "192.0.2.254" };
const v6 = { dst: "::/0", gateway: "fe80::1" };
const uplinks = async (given: Given, nodeIPs?: string[]) =>
  (await find(given, nodeIPs)).uplinks.map((u) => `${u.link} ${u.address} ${u.mtu}`);

describe("the underlay", () => {
  it("is where the default routes leave, IPv4 first", async () => {
    const given: Given = {
      addresses: [
        ["eth1", "2001:db8::7/64"],
        ["eth0", "192.0.2.7/24"],
      ],
      routes: [
        ["eth1", v6],
        ["eth0", v4],
      ],
    };
    expect(await uplinks(given)).toEqual(["eth0 192.0.2.7 1500", "eth1 2001:db8::7 9000"]);
  });

  it.each<[string, Given, string[]]>([
    [
      "the route of the least metric",
      {
        addresses: [
          ["eth0", "192.0.2.7/24"],
          ["eth1", "198.51.100.7/24"],
        ],
        routes: [
          ["eth0", { ...v4, priority: 200 }],
          ["eth1", { ...v4, priority: 100 }],
        ],
      },
      ["eth1 198.51.100.7 9000"],
    ],
    [
      "the route of the main table",
      {
        addresses: [
          ["eth0", "192.0.2.7/24"],
          ["eth1", "198.51.100.7/24"],
        ],
        routes: [
          ["eth1", { ...v4, table: 100 }],
          ["eth0", { ...v4, priority: 100 }],
        ],
      },
      ["eth0 192.0.2.7 1500"],
    ],
    [
      "a route over several hops: the first",
      {
        addresses: [["eth1", "198.51.100.7/24"]],
        routes: [["", { dst: "0.0.0.0/0", nexthops: [{ oif: 2, gateway: "198.51.100.1", weight: 1 }] }]],
      },
      ["eth1 198.51.100.7 9000"],
    ],
    [
      "the next route where a link has no address of the family",
      {
        addresses: [["eth1", "198.51.100.7/24"]],
        routes: [
          ["eth0", { ...v4, priority: 1 }],
          ["eth1", { ...v4, priority: 2 }],
        ],
      },
      ["eth1 198.51.100.7 9000"],
    ],
    [
      "no route that refuses",
      {
        addresses: [
          ["eth0", "192.0.2.7/24"],
          ["eth1", "198.51.100.7/24"],
        ],
        routes: [
          ["eth1", { dst: "0.0.0.0/0", type: RouteType.UNREACHABLE, priority: 1 }],
          ["eth0", { ...v4, priority: 2 }],
        ],
      },
      ["eth0 192.0.2.7 1500"],
    ],
    [
      "no link of ours",
      {
        links: { [VXLAN_LINK]: 1450, eth0: 1500 },
        addresses: [
          [VXLAN_LINK, "10.244.1.1/32"],
          ["eth0", "192.0.2.7/24"],
        ],
        routes: [
          [VXLAN_LINK, { ...v4, priority: 1 }],
          ["eth0", { ...v4, priority: 2 }],
        ],
      },
      ["eth0 192.0.2.7 1500"],
    ],
    [
      "an address that stays: neither link-local, nor rotating, nor still being tested",
      {
        addresses: [
          ["eth0", "fe80::7/64", 0, Scope.LINK],
          ["eth0", "2001:db8::aaaa/64", AddressFlag.SECONDARY],
          ["eth0", "2001:db8::bbbb/64", AddressFlag.TENTATIVE],
          ["eth0", "2001:db8::cccc/64", AddressFlag.DEPRECATED],
          ["eth0", "2001:db8::7/64"],
        ],
        routes: [["eth0", v6]],
      },
      ["eth0 2001:db8::7 1500"],
    ],
  ])("is found by %s", async (_what, given, expected) => {
    expect(await uplinks(given)).toEqual(expected);
  });

  it("is where the given addresses are, whatever the routes say", async () => {
    const given: Given = {
      addresses: [
        ["eth0", "192.0.2.7/24"],
        ["eth1", "198.51.100.7/24"],
        ["eth1", "2001:db8::7/64"],
      ],
      routes: [["eth0", v4]],
    };
    expect(await uplinks(given, ["2001:db8::7", "198.51.100.7"])).toEqual([
      "eth1 198.51.100.7 9000",
      "eth1 2001:db8::7 9000",
    ]);
    await expect(find(given, ["192.0.2.8"])).rejects.toThrow(
      "network.nodeIPs: no link of this node has the address 192.0.2.8",
    );
  });

  it.each<[string, Given]>([
    ["there is no default route", { addresses: [["eth0", "192.0.2.7/24"]] }],
    ["its link has no address", { routes: [["eth0", v4]] }],
  ])("cannot be found when %s, and says what to do", async (_what, given) => {
    await expect(find(given)).rejects.toThrow(/set network\.nodeIPs/);
  });

  it("tells the links that learn routes from router advertisements, each once", async () => {
    const given: Given = {
      addresses: [["eth0", "2001:db8::7/64"]],
      routes: [
        ["eth1", { dst: "2001:db8:1::/64", protocol: RouteProtocol.RA }],
        ["eth0", { ...v6, protocol: RouteProtocol.RA }],
        ["eth0", { dst: "2001:db8:2::/64", protocol: RouteProtocol.RA }],
        ["eth1", { dst: "2001:db8:3::/64", protocol: RouteProtocol.STATIC }],
      ],
    };
    expect((await find(given)).raLinks).toEqual(["eth0", "eth1"]);
  });
});
