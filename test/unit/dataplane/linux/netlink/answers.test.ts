import { describe, expect, it } from "vitest";
import { AddressFlag, AddressMsg, decodeAddress } from "../../../../../src/dataplane/linux/netlink/address.ts";
import { attrAt, decodeAck } from "../../../../../src/dataplane/linux/netlink/ext-ack.ts";
import { decodeFilter, FilterMsg } from "../../../../../src/dataplane/linux/netlink/filter.ts";
import { decodeLink, LinkFlag, LinkMsg, OperState } from "../../../../../src/dataplane/linux/netlink/link.ts";
import { linkAdd } from "../../../../../src/dataplane/linux/netlink/link-requests.ts";
import { decodeNeighbour, NeighbourMsg, NeighbourState } from "../../../../../src/dataplane/linux/netlink/neighbour.ts";
import { NlmType } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";
import { decodeNsid, NsidMsg } from "../../../../../src/dataplane/linux/netlink/nsid.ts";
import { decodeQdisc, QdiscMsg, TcHandle } from "../../../../../src/dataplane/linux/netlink/qdisc.ts";
import {
  decodeRoute,
  NexthopFlag,
  RouteMsg,
  RouteTable,
  RouteType,
} from "../../../../../src/dataplane/linux/netlink/route.ts";
import { decodeRule, RuleMsg } from "../../../../../src/dataplane/linux/netlink/rule.ts";
import { golden } from "./golden.ts";

/** What the kernel answered to a captured command, decoded. */
function answers<T>(name: string, type: number, decode: (body: Uint8Array) => T): T[] {
  const found = golden(name).received.filter((m) => m.type === type);
  expect(found.length).toBeGreaterThan(0);
  return found.map((m) => decode(m.body));
}

describe("the kernel's answers", () => {
  it("tell a VXLAN link with its options", () => {
    const [link] = answers("link-show-vxlan", LinkMsg.NEW, decodeLink);
    expect(link).toMatchObject({
      index: 6,
      name: "hdvx4",
      mtu: 1500,
      group: 0,
      operState: OperState.DOWN,
      info: { kind: "vxlan", vxlan: { id: 10, local: "192.0.2.1", port: 4789, ttl: 64, learning: false } },
    });
  });

  it("tell a veth with its peer's index, address and flags", () => {
    const link = answers("link-show-veth", LinkMsg.NEW, decodeLink).find((l) => l.index === 3);
    expect(link).toMatchObject({
      name: "hd0",
      link: 2,
      mtu: 1400,
      address: "02:00:00:00:00:01",
      broadcast: "ff:ff:ff:ff:ff:ff",
      addrGenMode: 1,
      info: { kind: "veth" },
    });
    expect((link?.flags ?? 0) & LinkFlag.UP).toBe(LinkFlag.UP);
  });

  it("tell a bridge with its options, times in hundredths of a second", () => {
    const [link] = answers("link-show-bridge", LinkMsg.NEW, decodeLink);
    expect(link).toMatchObject({
      index: 4,
      name: "hdbr",
      info: {
        kind: "bridge",
        bridge: {
          forwardDelay: 0,
          helloTime: 200,
          maxAge: 2000,
          ageingTime: 30_000,
          stp: false,
          priority: 32_768,
          vlanFiltering: false,
          groupFwdMask: 0,
          mcastSnooping: false,
        },
      },
    });
  });

  it("tell a tap device with its owner and modes", () => {
    const [link] = answers("link-show-tun", LinkMsg.NEW, decodeLink);
    expect(link).toMatchObject({ index: 8, name: "hdtap", mtu: 1500 });
    expect(link?.info).toEqual({
      kind: "tun",
      tun: { owner: 1000, mode: "tap", packetInfo: false, vnetHeader: false, persist: true, multiQueue: true },
    });
  });

  it("tell the ids of namespaces", () => {
    expect(answers("nsid-show", NsidMsg.NEW, decodeNsid)).toEqual([{ nsid: 7 }]);
  });

  it("tell addresses of both families with flags of more than eight bits", () => {
    const addresses = answers("address-show", AddressMsg.NEW, decodeAddress);
    const forever = { preferred: 0xffff_ffff, valid: 0xffff_ffff };
    expect(addresses).toContainEqual({
      index: 3,
      address: "10.1.0.1/24",
      broadcast: "10.1.0.255",
      flags: AddressFlag.PERMANENT,
      label: "hd0",
      lifetime: forever,
    });
    expect(addresses).toContainEqual({
      index: 3,
      address: "fd01::1/64",
      flags: AddressFlag.PERMANENT | AddressFlag.NODAD | AddressFlag.NOPREFIXROUTE,
      lifetime: forever,
    });
  });

  it("tell IPv4 routes: on-link, multipath, over IPv6, black holes, metrics, tables above 255", () => {
    const routes = answers("route-show", RouteMsg.NEW, decodeRoute);
    const find = (dst: string) => routes.find((r) => r.dst === dst);
    const LINKDOWN = NexthopFlag.LINKDOWN;
    expect(find("0.0.0.0/0")).toMatchObject({ gateway: "169.254.1.1", oif: 3, flags: NexthopFlag.ONLINK | LINKDOWN });
    expect(find("10.2.0.0/16")).toMatchObject({ gateway: "10.1.0.9", protocol: 201, table: RouteTable.MAIN });
    expect(find("10.3.0.0/16")).toMatchObject({
      table: 1000,
      prefSrc: "10.1.0.1",
      priority: 50,
      metrics: { mtu: 1300 },
    });
    expect(find("10.4.0.0/16")?.nexthops).toEqual([
      { oif: 3, gateway: "10.1.0.3", weight: 1, flags: LINKDOWN },
      { oif: 3, gateway: "10.1.0.4", weight: 3, flags: LINKDOWN },
    ]);
    expect(find("10.5.0.0/16")).toMatchObject({ gateway: "fe80::1", oif: 3 });
    expect(find("10.6.0.0/16")).toMatchObject({ type: RouteType.BLACKHOLE });
    expect(find("10.1.0.1/32")).toMatchObject({ type: RouteType.LOCAL, table: RouteTable.LOCAL });
  });

  it("tell IPv6 routes", () => {
    const routes = answers("route-show6", RouteMsg.NEW, decodeRoute);
    expect(routes.find((r) => r.dst === "fd02::/48")).toMatchObject({
      gateway: "fd00::2",
      oif: 3,
      priority: 10,
      table: RouteTable.MAIN,
    });
  });

  it("tell neighbours", () => {
    const neighbours = answers("neighbour-show", NeighbourMsg.NEW, decodeNeighbour);
    expect(neighbours).toContainEqual({
      family: 2,
      index: 3,
      state: NeighbourState.PERMANENT,
      flags: 0,
      type: 1,
      dst: "10.1.0.2",
      address: "02:00:00:00:00:99",
    });
  });

  it("tell a VXLAN's forwarding entries with the remote end", () => {
    const entries = answers("fdb-show", NeighbourMsg.NEW, decodeNeighbour);
    expect(entries.find((e) => e.address === "02:00:00:00:00:aa")).toMatchObject({
      family: 7,
      index: 6,
      dst: "192.0.2.9",
      state: NeighbourState.PERMANENT | NeighbourState.NOARP,
    });
  });

  it("tell rules with marks and masks", () => {
    const rules = answers("rule-show", RuleMsg.NEW, decodeRule);
    expect(rules.find((r) => r.priority === 1000)).toMatchObject({
      family: 2,
      src: "10.1.0.0/16",
      fwmark: 0x10,
      fwmask: 0xff,
      table: 100,
    });
    expect(rules.find((r) => r.priority === 32_766)).toMatchObject({ table: RouteTable.MAIN });
  });

  it("tell a token bucket in bytes", () => {
    const qdiscs = answers("qdisc-show", QdiscMsg.NEW, decodeQdisc).filter((q) => q.index === 3);
    expect(qdiscs).toEqual([
      {
        index: 3,
        handle: 0x10000,
        parent: TcHandle.ROOT,
        info: { kind: "tbf", tbf: { rate: 1_250_000, burst: 32_768, limit: 64_018 } },
      },
      { index: 3, handle: TcHandle.INGRESS_FILTERS, parent: TcHandle.INGRESS, info: { kind: "ingress" } },
    ]);
  });

  it("tell where a filter redirects", () => {
    const filters = answers("filter-show", FilterMsg.NEW, decodeFilter);
    expect(filters.find((f) => f.redirectTo !== undefined)).toMatchObject({
      index: 3,
      kind: "u32",
      priority: 1,
      protocol: 3,
      redirectTo: 5,
    });
  });

  it("explain a refusal", () => {
    const [error] = answers("link-add-dummy", NlmType.ERROR, (body) => body);
    const message = golden("link-add-dummy").received.find((m) => m.type === NlmType.ERROR);
    expect(error).toBeDefined();
    expect(decodeAck(message ?? { flags: 0, body: new Uint8Array() })).toEqual({
      errno: 95,
      text: "Unknown device type",
    });
  });

  it("explain a refusal with the place in the request that it is about", () => {
    const { sent, received } = golden("link-refused-mtu");
    const message = received.find((m) => m.type === NlmType.ERROR);
    const ack = decodeAck(message ?? { flags: 0, body: new Uint8Array() });
    expect(ack).toEqual({ errno: 22, text: "MTU must be between 68 and 65535", offset: 32 });
    const { schema } = linkAdd({ name: "hdbad", info: { kind: "dummy" } });
    expect(attrAt(sent.body, schema, ack.offset ?? 0)).toBe("IFLA_MTU");
  });

  it("acknowledge", () => {
    const message = golden("route-add4").received.find((m) => m.type === NlmType.ERROR);
    expect(decodeAck(message ?? { flags: 0, body: new Uint8Array() })).toEqual({ errno: 0 });
  });
});
