import { describe, expect, it } from "vitest";
import { parseIp } from "../../../../../src/base/ip/address.ts";
import { nftBaseItems } from "../../../../../src/dataplane/linux/nodes/nft-base.ts";
import { renderLocalNode, renderPeer } from "../../../../../src/dataplane/linux/nodes/renderer.ts";
import type { KeyValue } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { NftChainValue, NftSetValue } from "../../../../../src/models/nft.ts";
import type { LocalNodeRow } from "../../../../../src/nodes/api.ts";
import { localRow, peerRow } from "../../../../support/linux/rows.ts";

/** `key: value` of what is not nftables. */
const items = (list: Iterable<KeyValue>): Record<string, unknown> =>
  Object.fromEntries(
    [...list].filter(({ key }) => !key.startsWith("linux/nft/")).map(({ key, value }) => [key, value]),
  );
const keys = (list: Iterable<KeyValue>): string[] => Object.keys(items(list));

const sysctl4 = "linux/sysctl/net/ipv4/conf/all/forwarding";
const sysctl6 = "linux/sysctl/net/ipv6/conf/all/forwarding";
const vxlan = "linux/link/hdvxlan";
const only = (family: 4 | 6): Partial<LocalNodeRow> => ({
  podCIDRs: [family === 4 ? "10.244.1.0/24" : "fd10:244:0:1::/64"],
  gateways: [parseIp(family === 4 ? "10.244.1.1" : "fd10:244:0:1::1")],
});

describe("a node without pods and peers", () => {
  it.each<[string, Partial<LocalNodeRow>, string[]]>([
    [
      "of both families over VXLAN",
      {},
      [
        ...[sysctl4, sysctl6, "linux/route/node/10.244.1.0/24", "linux/route/node/fd10:244:0:1::/64", vxlan],
        ...["linux/address/hdvxlan/node/10.244.1.1/32", "linux/address/hdvxlan/node/fd10:244:0:1::1/128"],
      ],
    ],
    [
      "of both families without overlay",
      { overlay: { kind: "none" } },
      [sysctl4, sysctl6, "linux/route/node/10.244.1.0/24", "linux/route/node/fd10:244:0:1::/64"],
    ],
    [
      "of IPv4 only, which touches nothing of IPv6",
      only(4),
      [sysctl4, "linux/route/node/10.244.1.0/24", vxlan, "linux/address/hdvxlan/node/10.244.1.1/32"],
    ],
    [
      "of IPv6 only, which touches nothing of IPv4",
      only(6),
      [sysctl6, "linux/route/node/fd10:244:0:1::/64", vxlan, "linux/address/hdvxlan/node/fd10:244:0:1::1/128"],
    ],
  ])("%s", (_what, change, expected) => {
    expect(keys(renderLocalNode(localRow(change)))).toEqual(expected);
  });

  it("keeps routes that were learnt from router advertisements when it begins to forward", () => {
    const found = items(renderLocalNode(localRow({ raLinks: ["eth0", "eth1"] })));
    const listening = ["eth0", "eth1"].map((link) => `net/ipv6/conf/${link}/accept_ra`);
    for (const name of listening) expect(found[`linux/sysctl/${name}`]).toEqual({ name, value: "2", after: [] });
    expect(found[sysctl6]).toMatchObject({ value: "1", after: listening });
    const v4 = keys(renderLocalNode(localRow({ ...only(4), raLinks: ["eth0"] })));
    expect(v4.filter((key) => key.includes("ipv6"))).toEqual([]);
  });

  it("has an overlay's device as the row says, and refuses addresses of its own that no pod has", () => {
    const found = items(renderLocalNode(localRow()));
    expect(found[vxlan]).toEqual({
      ...{ kind: "vxlan", name: "hdvxlan", vni: 4096, port: 4789, mac: "12:2b:00:00:00:01", mtu: 1450 },
      ...{ local: "192.168.0.1", state: "up" },
    });
    expect(found["linux/route/node/10.244.1.0/24"]).toEqual({
      ...{ end: "node", type: "unreachable", dst: "10.244.1.0/24" },
      metric: 0x7fff_fffe,
    });
  });
});

describe("a peer", () => {
  it("over VXLAN has a forwarding entry, and a next hop with its neighbour for each family", () => {
    const mac = "12:2b:00:00:00:02";
    const end = { link: "hdvxlan", end: "node" };
    expect(items(renderPeer(peerRow(2), localRow()))).toEqual({
      [`linux/fdb/hdvxlan/${mac}`]: { link: "hdvxlan", mac, dst: "192.168.0.2" },
      "linux/neighbour/hdvxlan/node/10.244.2.1": { ...end, address: "10.244.2.1", mac },
      "linux/neighbour/hdvxlan/node/fd10:244:0:2::1": { ...end, address: "fd10:244:0:2::1", mac },
      "linux/route/node/10.244.2.0/24": {
        ...{ ...end, type: "unicast", dst: "10.244.2.0/24" },
        ...{ gateway: "10.244.2.1", onLink: true },
      },
      "linux/route/node/fd10:244:0:2::/64": {
        ...{ ...end, type: "unicast", dst: "fd10:244:0:2::/64" },
        ...{ gateway: "fd10:244:0:2::1", onLink: true },
      },
    });
  });

  it("without overlay is reached over the link of each family", () => {
    expect(items(renderPeer(peerRow(2), localRow({ overlay: { kind: "none" } })))).toEqual({
      "linux/route/node/10.244.2.0/24": {
        ...{ link: "eth0", end: "node", type: "unicast", dst: "10.244.2.0/24", gateway: "192.168.0.2" },
      },
      "linux/route/node/fd10:244:0:2::/64": {
        ...{ link: "eth1", end: "node", type: "unicast", dst: "fd10:244:0:2::/64", gateway: "fd00::2" },
      },
    });
  });

  it.each([
    ["the peer has no address of a family", peerRow(2, { underlayIps: [parseIp("192.168.0.2")] }), localRow()],
    ["this node has no link of a family", peerRow(2), localRow({ uplinks: localRow().uplinks.slice(0, 1) })],
  ])("without overlay has no route where %s", (_what, peer, local) => {
    expect(keys(renderPeer(peer, { ...local, overlay: { kind: "none" } }))).toEqual(["linux/route/node/10.244.2.0/24"]);
  });

  it("with several subnets of a family has one next hop for them", () => {
    const peer = peerRow(2, { podCIDRs: ["10.244.2.0/24", "10.250.2.0/24"], vtepIps: [parseIp("10.244.2.1")] });
    const found = items(renderPeer(peer, localRow()));
    expect(found["linux/route/node/10.250.2.0/24"]).toMatchObject({ gateway: "10.244.2.1" });
    expect(Object.keys(found).filter((key) => key.includes("neighbour"))).toHaveLength(1);
  });
});

describe("the nftables base", () => {
  const base = (more: Partial<Parameters<typeof nftBaseItems>[0]> = {}) =>
    new Map(
      [
        ...nftBaseItems({
          ...{ podCIDRs: ["10.244.1.0/24", "fd10:244:0:1::/64"], clusterCIDRs: ["10.244.0.0/16"], masquerade: true },
          ...more,
        }),
      ].map(({ key, value }) => [key, value]),
    );
  const rules = (name: string, more?: Parameters<typeof base>[0]) =>
    (base(more).get(`linux/nft/chain/${name}`) as NftChainValue).rules;

  it("translates the source of what leaves the cluster, but not of what stays on the segment", () => {
    expect(rules("postrouting_snat")).toEqual([
      "ct status dnat ip saddr . ip daddr @hairpin4 masquerade",
      "ct status dnat ip6 saddr . ip6 daddr @hairpin6 masquerade",
      'ip saddr 10.244.1.0/24 ip daddr != @cluster4 ip daddr != 224.0.0.0/4 oifname != "hd*" masquerade',
      'ip6 saddr fd10:244:0:1::/64 ip6 daddr != @cluster6 ip6 daddr != { fe80::/10, ff00::/8 } oifname != "hd*" masquerade',
    ]);
    expect(rules("postrouting_snat", { masquerade: false })).toHaveLength(2);
    expect(rules("postrouting_snat", { podCIDRs: ["10.244.1.0/24"] })).toHaveLength(3);
  });

  it("keeps what comes from pods away from the node's loopback before anything is translated", () => {
    expect(base().get("linux/nft/chain/loopback_guard")).toMatchObject({
      hook: { type: "filter", hook: "prerouting", priority: -300 },
      rules: ['iifname "hd*" ip daddr 127.0.0.0/8 drop', 'iifname "hd*" ip saddr 127.0.0.0/8 drop'],
    });
  });

  it("has as many rules however many pods there are, and names every set and chain that they use", () => {
    const all = base();
    const sets = [...all.values()].flatMap((v) =>
      typeof v === "object" && v && "kind" in v ? [v as NftSetValue] : [],
    );
    const chains = [...all.values()].flatMap((v) =>
      typeof v === "object" && v && "rules" in v ? [v as NftChainValue] : [],
    );
    for (const { rules: list, uses, jumps } of chains) {
      const named = list.flatMap((rule) => [...rule.matchAll(/@([\w]+)/g)].map((m) => m[1]));
      expect(new Set(uses)).toEqual(new Set([...named, ...uses]));
      for (const use of uses) expect(sets.map((s) => s.name)).toContain(use);
      const led = list.flatMap((rule) => [...rule.matchAll(/jump (\w+)/g)].map((m) => m[1]));
      expect(new Set(jumps)).toEqual(new Set(led));
    }
  });

  it("writes a network of full length as nft lists it", () => {
    const found = base({ clusterCIDRs: ["192.0.2.1/32", "2001:db8::1/128", "10.0.0.0/8"] });
    expect([...found.keys()].filter((key) => key.startsWith("linux/nft/element/"))).toEqual([
      "linux/nft/element/cluster4/192.0.2.1",
      "linux/nft/element/cluster6/2001:db8::1",
      "linux/nft/element/cluster4/10.0.0.0/8",
    ]);
  });
});
