import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { AddressFlag, addressAdd } from "../../../../../src/dataplane/linux/netlink/address.ts";
import { splitAttrs } from "../../../../../src/dataplane/linux/netlink/attr.ts";
import type { AttrSchema } from "../../../../../src/dataplane/linux/netlink/ext-ack.ts";
import { redirectAdd } from "../../../../../src/dataplane/linux/netlink/filter.ts";
import { AddressFamily } from "../../../../../src/dataplane/linux/netlink/ip.ts";
import { AddrGenMode } from "../../../../../src/dataplane/linux/netlink/link.ts";
import { linkAdd, linkDeleteGroup, linkSet } from "../../../../../src/dataplane/linux/netlink/link-requests.ts";
import {
  fdbAdd,
  neighbourAdd,
  neighbourDelete,
  proxyNeighbourAdd,
} from "../../../../../src/dataplane/linux/netlink/neighbour.ts";
import { NlmFlag } from "../../../../../src/dataplane/linux/netlink/nlmsg.ts";
import { decodeNsid, nsidAdd, nsidDump } from "../../../../../src/dataplane/linux/netlink/nsid.ts";
import { decodeQdisc, ingressQdisc, qdiscAdd, TcHandle } from "../../../../../src/dataplane/linux/netlink/qdisc.ts";
import type { NetlinkRequest } from "../../../../../src/dataplane/linux/netlink/request.ts";
import { NexthopFlag, RouteType } from "../../../../../src/dataplane/linux/netlink/route.ts";
import { routeAdd, routeDelete } from "../../../../../src/dataplane/linux/netlink/route-requests.ts";
import { ruleAdd } from "../../../../../src/dataplane/linux/netlink/rule.ts";
import { golden } from "./golden.ts";

const HD1 = 2;
const HD0 = 3;
const HDIFB = 5;
const HDVX4 = 6;
const HDVX6 = 7;

/** What our builders make of the commands in golden/. */
const REQUESTS: Readonly<Record<string, () => NetlinkRequest<unknown>>> = {
  "link-add-veth": () =>
    linkAdd({
      name: "hd0",
      mtu: 1400,
      address: "02:00:00:00:00:01",
      info: { kind: "veth", peer: { name: "hd1", address: "02:00:00:00:00:02" } },
    }),
  "link-add-bridge": () =>
    linkAdd({ name: "hdbr", info: { kind: "bridge", bridge: { forwardDelay: 0, mcastSnooping: false } } }),
  "link-add-ifb": () => linkAdd({ name: "hdifb", info: { kind: "ifb" } }),
  "link-add-vxlan4": () =>
    linkAdd({
      name: "hdvx4",
      info: { kind: "vxlan", vxlan: { id: 10, local: "192.0.2.1", port: 4789, ttl: 64, learning: false } },
    }),
  "link-add-vxlan6": () =>
    linkAdd({
      name: "hdvx6",
      info: {
        kind: "vxlan",
        vxlan: { id: 11, local: "2001:db8::1", port: 4789, udpZeroCsum6Rx: true, learning: false },
      },
    }),
  "link-add-dummy": () => linkAdd({ name: "hddummy", info: { kind: "dummy" } }),
  "link-refused-mtu": () =>
    linkAdd({ name: "hdbad", mtu: 20, info: { kind: "vxlan", vxlan: { id: 12, port: 4789, learning: true } } }),
  "link-set-up": () => linkSet({ index: HD0 }, { up: true }),
  "link-set-master": () => linkSet({ index: HD1 }, { master: 4 }),
  "link-set-addrgenmode": () => linkSet({ index: HD0 }, { addrGenMode: AddrGenMode.NONE }),
  "link-set-group": () => linkSet({ index: HDIFB }, { group: 77 }),
  "link-delete-group": () => linkDeleteGroup(77),
  "address-add4": () => addressAdd({ index: HD0, address: "10.1.0.1/24", broadcast: "10.1.0.255" }),
  "address-add6": () => addressAdd({ index: HD0, address: "fd00::1/64", flags: AddressFlag.NODAD }),
  "address-add6-noprefixroute": () =>
    addressAdd({ index: HD0, address: "fd01::1/64", flags: AddressFlag.NODAD | AddressFlag.NOPREFIXROUTE }),
  "route-add4": () => routeAdd({ dst: "10.2.0.0/16", gateway: "10.1.0.2", oif: HD0, protocol: 201 }),
  "route-add-table": () =>
    routeAdd({ dst: "10.3.0.0/16", oif: HD0, prefSrc: "10.1.0.1", table: 1000, priority: 50, metrics: { mtu: 1300 } }),
  "route-add-multipath": () =>
    routeAdd({
      dst: "10.4.0.0/16",
      nexthops: [
        { gateway: "10.1.0.3", oif: HD0, weight: 1 },
        { gateway: "10.1.0.4", oif: HD0, weight: 3 },
      ],
    }),
  "route-add-onlink": () => routeAdd({ dst: "0.0.0.0/0", gateway: "169.254.1.1", oif: HD0, flags: NexthopFlag.ONLINK }),
  "route-add6": () => routeAdd({ dst: "fd02::/48", gateway: "fd00::2", oif: HD0, priority: 10 }),
  "route-add-via6": () => routeAdd({ dst: "10.5.0.0/16", gateway: "fe80::1", oif: HD0 }),
  "route-add-blackhole": () => routeAdd({ dst: "10.6.0.0/16", type: RouteType.BLACKHOLE }),
  "route-replace": () => routeAdd({ dst: "10.2.0.0/16", gateway: "10.1.0.9", oif: HD0, protocol: 201 }, "replace"),
  "route-delete": () => routeDelete({ dst: "10.2.0.0/16", gateway: "10.1.0.9", oif: HD0 }),
  "neighbour-replace": () => neighbourAdd({ index: HD0, dst: "10.1.0.2", address: "02:00:00:00:00:99" }),
  "neighbour-proxy": () => proxyNeighbourAdd({ index: HD0, dst: "10.1.0.77" }),
  "neighbour-delete": () => neighbourDelete({ index: HD0, dst: "10.1.0.2" }),
  "fdb-append": () => fdbAdd({ index: HDVX4, address: "02:00:00:00:00:aa", dst: "192.0.2.9" }, "append"),
  "fdb-replace6": () => fdbAdd({ index: HDVX6, address: "02:00:00:00:00:ab", dst: "2001:db8::9" }),
  "rule-add4": () =>
    ruleAdd({ family: AddressFamily.INET, src: "10.1.0.0/16", fwmark: 0x10, fwmask: 0xff, table: 100, priority: 1000 }),
  "rule-add6": () =>
    ruleAdd({ family: AddressFamily.INET6, dst: "fd00::/16", iif: "hd0", table: 1000, priority: 1001 }),
  "qdisc-tbf": () =>
    qdiscAdd(
      {
        index: HD0,
        handle: 0x10000,
        parent: TcHandle.ROOT,
        info: { kind: "tbf", tbf: { rate: 1_250_000, burst: 32_768, limit: 64_018 } },
      },
      "create",
    ),
  "qdisc-ingress": () => qdiscAdd(ingressQdisc(HD0), "create"),
  "filter-redirect": () =>
    redirectAdd({ index: HD0, parent: TcHandle.INGRESS_FILTERS, priority: 1, redirectTo: HDIFB }),
};

/** A message's fixed part, and its attributes by type: their order within a message means nothing. */
function canonical(bytes: Uint8Array, schema: AttrSchema): unknown {
  const attrs = splitAttrs(bytes.subarray(schema.skip)).map(({ type, data }) => {
    const nested = schema.nested?.[type];
    return { type, data: nested === undefined ? Buffer.from(data).toString("hex") : canonical(data, nested) };
  });
  return {
    header: Buffer.from(bytes.subarray(0, schema.skip)).toString("hex"),
    attrs: attrs.sort((a, b) => a.type - b.type),
  };
}

/** Where we differ from iproute2 on purpose. */
const NO_CREATE_EXCL = ~(NlmFlag.CREATE | NlmFlag.EXCL | NlmFlag.REPLACE);
const FLAGS_IGNORED: Readonly<Record<string, number>> = {
  // A proxy entry may be there already.
  "neighbour-proxy": NO_CREATE_EXCL,
};
const BODY_DIFFERS: ReadonlySet<string> = new Set([
  // tc sends a table of transmission times, which kernels from 3.8 on read for nothing but the link layer's type.
  "qdisc-tbf",
  // ip sends the state of the entry, at which RTM_DELNEIGH does not look.
  "neighbour-delete",
]);

describe("netlink requests", () => {
  it.each(Object.keys(REQUESTS))("are what iproute2 sends: %s", (name) => {
    const request = REQUESTS[name]?.();
    const { sent } = golden(name);
    if (request === undefined) throw new Error(name);
    expect(request.type).toBe(sent.type);
    // The new link is asked to be echoed, for its index.
    const mask = (FLAGS_IGNORED[name] ?? ~0) & ~NlmFlag.ECHO;
    expect(request.flags & mask).toBe(sent.flags & mask);
    if (BODY_DIFFERS.has(name)) return;
    expect(canonical(request.body, request.schema)).toEqual(canonical(sent.body, request.schema));
  });

  it("cover every captured command that changes something", () => {
    const captured = readdirSync(join(import.meta.dirname, "golden"))
      .filter((file) => file.endsWith(".txt") && !file.includes("-show"))
      .map((file) => file.slice(0, -".txt".length));
    // The namespace's descriptor in it is another one each time; see below.
    expect([...Object.keys(REQUESTS), "nsid-set"].sort()).toEqual(captured.sort());
  });

  it("ask for a token bucket as tc does, but for the table of times", () => {
    const ours = decodeQdisc(REQUESTS["qdisc-tbf"]?.().body ?? new Uint8Array());
    const theirs = decodeQdisc(golden("qdisc-tbf").sent.body);
    expect(theirs).toEqual(ours);
  });

  it("name the namespace by its descriptor and the id that it gets", () => {
    const theirs = decodeNsid(golden("nsid-set").sent.body);
    expect(theirs.nsid).toBe(7);
    expect(theirs.fd).toBeGreaterThan(2);
    const { body, schema } = nsidAdd(theirs.fd ?? 0, 7);
    expect(canonical(body, schema)).toEqual(canonical(golden("nsid-set").sent.body, schema));
  });

  it("ask for the ids of all namespaces as ip does", () => {
    const { type, body } = golden("nsid-show").sent;
    expect([type, Buffer.from(body)]).toEqual([nsidDump().type, Buffer.from(nsidDump().body)]);
  });

  it.each([
    ["link-add-veth", "create veth hd0 with peer hd1"],
    ["link-add-vxlan4", "create vxlan hdvx4 (id 10, port 4789)"],
    ["link-set-up", "change link 3: up"],
    ["link-delete-group", "delete the links of group 77"],
    ["address-add4", "add address 10.1.0.1/24 on link 3"],
    ["route-add-multipath", "add route 10.4.0.0/16 over 10.1.0.3 (weight 1) over 10.1.0.4 (weight 3)"],
    ["route-add-table", "add route 10.3.0.0/16 on link 3 metric 50 in table 1000"],
    ["route-add-onlink", "add route 0.0.0.0/0 via 169.254.1.1 on link 3 onlink"],
    ["route-add-blackhole", "add blackhole route 10.6.0.0/16"],
    ["neighbour-replace", "set neighbour 10.1.0.2 at 02:00:00:00:00:99 on link 3"],
    ["fdb-append", "append forwarding entry 192.0.2.9 for 02:00:00:00:00:aa on link 6"],
    ["rule-add4", "add rule 1000 from 10.1.0.0/16 fwmark 16 lookup 100"],
    ["filter-redirect", "redirect from link 3 to link 5"],
  ])("say in words what they ask: %s", (name, words) => {
    expect(REQUESTS[name]?.().words).toBe(words);
  });

  it.each([
    ["an interface name of 16 characters", () => linkAdd({ name: "hd23456789abcdef", info: { kind: "ifb" } })],
    ["an interface name with a slash", () => linkAdd({ name: "hd/0", info: { kind: "ifb" } })],
    ["an empty interface name", () => linkAdd({ name: "", info: { kind: "ifb" } })],
    ["the group of all links", () => linkDeleteGroup(0)],
    ["renaming by name", () => linkSet({ name: "hd0" }, { name: "hd1" })],
    ["a prefix that is too long", () => routeAdd({ dst: "10.0.0.0/33" })],
    ["an address that is none", () => addressAdd({ index: 1, address: "10.0.0/24" })],
    ["an address with a zone", () => addressAdd({ index: 1, address: "fe80::1%eth0/64" })],
    ["a MAC that is none", () => neighbourAdd({ index: 1, dst: "10.0.0.1", address: "02:00:00:00:00:0g" })],
    ["a weight of 0", () => routeAdd({ dst: "10.0.0.0/8", nexthops: [{ oif: 1, weight: 0 }] })],
    ["an MTU that is negative", () => linkSet({ index: 1 }, { mtu: -1 })],
  ])("are refused with a RangeError: %s", (_, make) => {
    expect(make).toThrow(RangeError);
  });
});
