import { beforeEach, describe, expect, it } from "vitest";
import { AddressFlag, addressAdd, addressDelete } from "../../../src/dataplane/linux/netlink/address.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { isExists, isNotFound, isNotSupported, NetlinkError } from "../../../src/dataplane/linux/netlink/errors.ts";
import type { Outcome } from "../../../src/dataplane/linux/netlink/exchange.ts";
import { filterDelete, filterDump, redirectAdd } from "../../../src/dataplane/linux/netlink/filter.ts";
import { AddressFamily } from "../../../src/dataplane/linux/netlink/ip.ts";
import { AddrGenMode, type Link, LinkFlag } from "../../../src/dataplane/linux/netlink/link.ts";
import {
  linkAdd,
  linkDelete,
  linkDeleteGroup,
  linkGet,
  linkSet,
} from "../../../src/dataplane/linux/netlink/link-requests.ts";
import {
  fdbAdd,
  fdbDelete,
  NeighbourState,
  neighbourAdd,
  neighbourDelete,
  proxyNeighbourAdd,
  proxyNeighbourDelete,
} from "../../../src/dataplane/linux/netlink/neighbour.ts";
import { inNetns, Netns } from "../../../src/dataplane/linux/netlink/netns.ts";
import { nsidAdd, nsidDump, nsidGet } from "../../../src/dataplane/linux/netlink/nsid.ts";
import {
  ingressQdisc,
  qdiscAdd,
  qdiscDelete,
  qdiscDump,
  TcHandle,
} from "../../../src/dataplane/linux/netlink/qdisc.ts";
import { NexthopFlag, RouteType } from "../../../src/dataplane/linux/netlink/route.ts";
import { routeAdd, routeDelete, routeLookup } from "../../../src/dataplane/linux/netlink/route-requests.ts";
import { ruleAdd, ruleDelete } from "../../../src/dataplane/linux/netlink/rule.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

/** The values of a burst of which nothing may fail. */
function all<T>(outcomes: readonly Outcome<T>[]): T[] {
  return outcomes.map((o) => {
    if (!o.ok) throw o.error;
    return o.value;
  });
}

async function refusal(promise: Promise<unknown>): Promise<NetlinkError> {
  const e = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(e instanceof NetlinkError)) throw new Error(`no refusal: ${String(e)}`);
  return e;
}

describe.skipIf(!isRoot)("rtnetlink in a namespace", () => {
  const namespaces = new TestNamespaces();
  let path: string;
  let client: RtNetlink;

  beforeEach(async () => {
    path = namespaces.add();
    client = await RtNetlink.open({ netns: path });
    return async () => {
      await client.close();
      namespaces[Symbol.dispose]();
    };
  });

  async function add(name: string, extra: Partial<Parameters<typeof linkAdd>[0]> = {}): Promise<Link> {
    const info = { kind: "veth", peer: { name: `${name}p` } } as const;
    const link = await client.request(linkAdd({ name, up: true, info, ...extra }));
    if (link === undefined) throw new Error("the kernel did not echo the link");
    return link;
  }

  it("makes a veth with its peer in another namespace, and says what it has made", async () => {
    using pod = await Netns.open(namespaces.add());
    const link = await client.request(
      linkAdd({
        name: "hd0",
        up: true,
        mtu: 1400,
        group: 9,
        address: "02:00:00:00:00:01",
        info: { kind: "veth", peer: { name: "eth0", netnsFd: pod.fd, mtu: 1400, address: "02:00:00:00:00:02" } },
      }),
    );
    expect(link).toMatchObject({ name: "hd0", mtu: 1400, group: 9, address: "02:00:00:00:00:01" });
    const [[peer] = []] = [
      await inNetns(pod.fd, [{ requests: [linkGet({ name: "eth0" })] }]),
    ].flat() as Outcome<Link>[][];
    expect(peer).toMatchObject({
      ok: true,
      value: { index: link?.link, link: link?.index, mtu: 1400, address: "02:00:00:00:00:02" },
    });
  });

  it("sets addresses, routes and neighbours of both families in one burst, and packets pass", async () => {
    const podPath = namespaces.add();
    using pod = await Netns.open(podPath);
    const link = await client.request(
      linkAdd({
        name: "hd0",
        up: true,
        address: "02:00:00:00:00:01",
        info: { kind: "veth", peer: { name: "eth0", netnsFd: pod.fd, address: "02:00:00:00:00:02" } },
      }),
    );
    const [host = 0, eth0 = 0] = [link?.index, link?.link];
    const NODAD = AddressFlag.NODAD | AddressFlag.NOPREFIXROUTE;
    const setUp = await inNetns(pod.fd, [
      {
        requests: [
          linkSet({ name: "eth0" }, { addrGenMode: AddrGenMode.NONE, up: true }),
          addressAdd({ index: eth0, address: "10.1.0.2/32" }),
          addressAdd({ index: eth0, address: "fd00::2/128", flags: NODAD }),
          neighbourAdd({ index: eth0, dst: "169.254.1.1", address: "02:00:00:00:00:01" }),
          neighbourAdd({ index: eth0, dst: "fe80::1", address: "02:00:00:00:00:01" }),
          routeAdd({ dst: "0.0.0.0/0", gateway: "169.254.1.1", oif: eth0, flags: NexthopFlag.ONLINK }),
          routeAdd({ dst: "::/0", gateway: "fe80::1", oif: eth0 }),
        ],
      },
    ]);
    expect(setUp.flat()).toEqual(Array.from({ length: 7 }, () => ({ ok: true, value: undefined })));
    all(
      await client.burst([
        addressAdd({ index: host, address: "10.9.0.1/32" }),
        addressAdd({ index: host, address: "fd09::1/128", flags: NODAD }),
        routeAdd({ dst: "10.1.0.2/32", oif: host }),
        routeAdd({ dst: "fd00::2/128", oif: host }),
        neighbourAdd({ index: host, dst: "10.1.0.2", address: "02:00:00:00:00:02" }),
        neighbourAdd({ index: host, dst: "fd00::2", address: "02:00:00:00:00:02" }),
      ]),
    );
    expect(await client.request(routeLookup("10.1.0.2"))).toMatchObject({ oif: host, prefSrc: "10.9.0.1" });
    expect(runIn(path, "ping -n -c 1 -W 2 10.1.0.2")).toContain("1 received");
    expect(runIn(path, "ping -n -c 1 -W 2 fd00::2")).toContain("1 received");
  });

  it("adds, dumps and deletes addresses of one link", async () => {
    const [one, two] = [await add("hd0"), await add("hd1")];
    all(
      await client.burst([
        addressAdd({ index: one.index, address: "10.1.0.1/24", broadcast: "10.1.0.255", scope: 0 }),
        addressAdd({ index: two.index, address: "10.2.0.1/24" }),
      ]),
    );
    expect(await client.addresses({ index: one.index, family: AddressFamily.INET })).toMatchObject([
      { index: one.index, address: "10.1.0.1/24", broadcast: "10.1.0.255", label: "hd0" },
    ]);
    const again = await refusal(client.request(addressAdd({ index: one.index, address: "10.1.0.1/24" })));
    expect(isExists(again)).toBe(true);
    expect(again.message).toContain(`add address 10.1.0.1/24 on link ${one.index} [${path}]: EEXIST: File exists`);
    await client.request(addressAdd({ index: one.index, address: "10.1.0.1/24" }, "replace"));
    await client.request(addressDelete({ index: one.index, address: "10.1.0.1/24" }));
    expect(isNotFound(await refusal(client.request(addressDelete({ index: one.index, address: "10.1.0.1/24" }))))).toBe(
      true,
    );
  });

  it("adds, dumps, replaces and deletes routes: multipath, on-link, by table, with metrics, over IPv6, black holes", async () => {
    const { index } = await add("hd0");
    await client.request(linkSet({ name: "hd0p" }, { up: true }));
    await client.request(addressAdd({ index, address: "10.1.0.1/24" }));
    await client.request(addressAdd({ index, address: "fd00::1/64", flags: AddressFlag.NODAD }));
    const routes = [
      { dst: "10.2.0.0/16", gateway: "10.1.0.2", oif: index, protocol: 201, scope: 0, type: 1, table: 254 },
      {
        dst: "10.3.0.0/16",
        nexthops: [
          { oif: index, gateway: "10.1.0.3", weight: 1 },
          { oif: index, gateway: "10.1.0.4", weight: 3 },
        ],
        protocol: 201,
        scope: 0,
        type: 1,
        table: 254,
      },
      {
        dst: "10.4.0.0/16",
        oif: index,
        prefSrc: "10.1.0.1",
        table: 1000,
        priority: 50,
        metrics: { mtu: 1300 },
        protocol: 201,
        scope: 253,
        type: 1,
      },
      {
        dst: "10.5.0.0/16",
        gateway: "169.254.1.1",
        oif: index,
        flags: NexthopFlag.ONLINK,
        protocol: 201,
        scope: 0,
        type: 1,
        table: 254,
      },
      { dst: "10.6.0.0/16", gateway: "fe80::1", oif: index, protocol: 201, scope: 0, type: 1, table: 254 },
      { dst: "10.7.0.0/16", type: RouteType.BLACKHOLE, protocol: 201, scope: 0, table: 254 },
      { dst: "fd02::/48", gateway: "fd00::2", oif: index, priority: 10, protocol: 201, scope: 0, type: 1, table: 254 },
      {
        dst: "fd03::/48",
        nexthops: [
          { oif: index, gateway: "fd00::3", weight: 1 },
          { oif: index, gateway: "fd00::4", weight: 2 },
        ],
        priority: 10,
        protocol: 201,
        scope: 0,
        type: 1,
        table: 254,
      },
    ];
    all(await client.burst(routes.map((r) => routeAdd(r))));
    const dumped = await client.routes({ protocol: 201 });
    for (const route of routes) expect(dumped).toContainEqual(expect.objectContaining(route));
    expect(dumped).toHaveLength(routes.length);
    expect(await client.routes({ table: 1000 })).toEqual(dumped.filter((r) => r.table === 1000));

    const changed = { dst: "10.2.0.0/16", gateway: "10.1.0.9", oif: index, protocol: 201 };
    expect(isExists(await refusal(client.request(routeAdd(changed))))).toBe(true);
    await client.request(routeAdd(changed, "replace"));
    expect((await client.routes({ protocol: 201 })).find((r) => r.dst === changed.dst)?.gateway).toBe("10.1.0.9");

    all(
      await client.burst(
        dumped.map((r) => routeDelete({ dst: r.dst, ...(r.table === undefined ? {} : { table: r.table }) })),
      ),
    );
    expect(await client.routes({ protocol: 201 })).toEqual([]);
    expect(isNotFound(await refusal(client.request(routeDelete(changed))))).toBe(true);
  });

  it("sets, dumps and deletes neighbours and proxy neighbours", async () => {
    const [one, two] = [await add("hd0"), await add("hd1")];
    const entry = { index: one.index, dst: "10.1.0.2", address: "02:00:00:00:00:02" };
    all(
      await client.burst([
        neighbourAdd(entry),
        neighbourAdd({ ...entry, index: two.index }),
        neighbourAdd({ ...entry, dst: "fe80::2" }),
        proxyNeighbourAdd({ index: one.index, dst: "10.1.0.77" }),
      ]),
    );
    const permanent = (await client.neighbours({ index: one.index })).filter(
      (n) => n.state === NeighbourState.PERMANENT,
    );
    expect(permanent.map((n) => `${n.dst} ${n.address}`).sort()).toEqual([
      `10.1.0.2 ${entry.address}`,
      `fe80::2 ${entry.address}`,
    ]);
    expect((await client.neighbours({ proxy: true })).map((n) => n.dst)).toEqual(["10.1.0.77"]);
    await client.request(neighbourAdd({ ...entry, address: "02:00:00:00:00:03" }));
    all(await client.burst([neighbourDelete(entry), proxyNeighbourDelete({ index: one.index, dst: "10.1.0.77" })]));
    expect(isNotFound(await refusal(client.request(neighbourDelete(entry))))).toBe(true);
  });

  it("makes a VXLAN link with static forwarding entries", async () => {
    const vxlan = { id: 10, local: "fd00::1", port: 4789, learning: false, ttl: 64 };
    const { index, info } = await add("hdvx", { address: "02:00:00:00:00:09", info: { kind: "vxlan", vxlan } });
    expect(info).toMatchObject({ kind: "vxlan", vxlan });
    const entry = { index, address: "02:00:00:00:00:aa", dst: "fd00::3" };
    all(
      await client.burst([fdbAdd(entry), fdbAdd({ ...entry, address: "00:00:00:00:00:00", dst: "fd00::4" }, "append")]),
    );
    expect((await client.fdb({ index })).map((e) => `${e.address} ${e.dst}`).sort()).toEqual([
      "00:00:00:00:00:00 fd00::4",
      "02:00:00:00:00:aa fd00::3",
    ]);
    await client.request(fdbDelete(entry));
    expect(isNotFound(await refusal(client.request(fdbDelete(entry))))).toBe(true);
    expect((await client.links({ kind: "vxlan" })).map((l) => l.name)).toEqual(["hdvx"]);
  });

  it("makes a bridge, and gives it ports", async () => {
    const bridge = await add("hdbr", { info: { kind: "bridge", bridge: { forwardDelay: 0, mcastSnooping: false } } });
    const port = await add("hd0");
    await client.request(linkSet({ index: port.index }, { master: bridge.index }));
    expect((await client.links({ master: bridge.index })).map((l) => l.name)).toEqual(["hd0"]);
    await client.request(linkSet({ name: "hd0" }, { master: 0 }));
    expect((await client.request(linkGet({ name: "hd0" })))?.master).toBeUndefined();
  });

  it("shows a tap device with its mode", async () => {
    runIn(path, "ip tuntap add hdtap mode tap");
    expect(await client.request(linkGet({ name: "hdtap" }))).toMatchObject({
      name: "hdtap",
      info: { kind: "tun", tun: { mode: "tap", persist: true } },
    });
  });

  it("adds, dumps and deletes rules", async () => {
    const rule = {
      family: AddressFamily.INET,
      priority: 1000,
      src: "10.1.0.0/16",
      fwmark: 1,
      fwmask: 0xff,
      table: 1000,
    };
    const rule6 = { family: AddressFamily.INET6, priority: 1001, dst: "fd00::/16", table: 100 };
    all(await client.burst([ruleAdd(rule), ruleAdd(rule6)]));
    expect(await client.rules({ family: AddressFamily.INET })).toContainEqual(expect.objectContaining(rule));
    expect(await client.rules()).toContainEqual(expect.objectContaining(rule6));
    expect(isExists(await refusal(client.request(ruleAdd(rule))))).toBe(true);
    all(await client.burst([ruleDelete(rule), ruleDelete(rule6)]));
    expect(isNotFound(await refusal(client.request(ruleDelete(rule))))).toBe(true);
  });

  it("gives namespaces ids", async () => {
    using other = await Netns.open(namespaces.add());
    expect(await client.request(nsidGet(other.fd))).toBeUndefined();
    await client.request(nsidAdd(other.fd, 42));
    expect(await client.request(nsidGet(other.fd))).toBe(42);
    expect(await client.dump(nsidDump())).toContain(42);
    expect(isExists(await refusal(client.request(nsidAdd(other.fd))))).toBe(true);
  });

  it("limits a link's rate in both directions", async () => {
    const [pod, ifb] = [await add("hd0"), await add("hdifb", { info: { kind: "ifb" } })];
    const tbf = { rate: 1_250_000, burst: 32_768, limit: 64_018 };
    const root = (index: number) => ({ index, handle: 0x10000, parent: TcHandle.ROOT });
    const redirect = { index: pod.index, parent: TcHandle.INGRESS_FILTERS, priority: 1, redirectTo: ifb.index };
    all(
      await client.burst([
        qdiscAdd({ ...root(pod.index), info: { kind: "tbf", tbf } }),
        qdiscAdd({ ...root(ifb.index), info: { kind: "tbf", tbf: { ...tbf, rate: 5_000_000_000 } } }),
        qdiscAdd(ingressQdisc(pod.index)),
        redirectAdd(redirect),
      ]),
    );
    expect(await client.dump(qdiscDump({ index: pod.index }))).toEqual([
      { ...root(pod.index), info: { kind: "tbf", tbf } },
      ingressQdisc(pod.index),
    ]);
    expect(runIn(path, "tc qdisc show dev hd0 root")).toContain("rate 10Mbit burst 32Kb");
    expect(runIn(path, "tc qdisc show dev hdifb root")).toContain("rate 40Gbit");
    expect(await client.dump(filterDump(redirect))).toMatchObject([
      { kind: "u32", redirectTo: ifb.index, priority: 1 },
    ]);
    await client.request(filterDelete(redirect));
    expect(await client.dump(filterDump(redirect))).toEqual([]);
    const places = [TcHandle.ROOT, TcHandle.INGRESS].map((parent) => qdiscDelete({ index: pod.index, parent }));
    all(await client.burst(places));
    expect(await client.dump(qdiscDump({ index: pod.index }))).toMatchObject([{ info: { name: "noqueue" } }]);
    for (const place of places) expect(isNotFound(await refusal(client.request(place)))).toBe(true);
  });

  it("deletes all links of a group by one request", async () => {
    const names = Array.from({ length: 20 }, (_, i) => `hdg${i}`);
    const info = (name: string) => ({ kind: "veth", peer: { name: `${name}p` } }) as const;
    all(await client.burst(names.map((name) => linkAdd({ name, group: 7, info: info(name) }))));
    await client.request(linkDeleteGroup(7));
    expect((await client.links()).map((l) => l.name)).toEqual(["lo"]);
    expect(isNotFound(await refusal(client.request(linkDeleteGroup(7))))).toBe(true);
  });

  it("does the rest of a burst when one request of it is refused", async () => {
    const outcomes = await client.burst([
      linkAdd({ name: "hd0", info: { kind: "ifb" } }),
      linkAdd({ name: "hd0", info: { kind: "ifb" } }),
      linkAdd({ name: "hdvx", info: { kind: "vxlan", vxlan: { id: 1 << 25 } } }),
      linkDelete({ name: "hdnone" }),
      linkSet({ name: "hd0" }, { up: true }),
    ]);
    expect(outcomes.map((o) => (o.ok ? "done" : o.error.message))).toEqual([
      "done",
      `create ifb hd0 [${path}]: EEXIST: File exists`,
      `create vxlan hdvx (id 33554432, port default) [${path}]: ERANGE: Numerical result out of range: ` +
        "VXLAN ID must be lower than 16777216 (IFLA_LINKINFO.IFLA_INFO_DATA.IFLA_VXLAN_ID)",
      `delete link hdnone [${path}]: ENODEV: No such device`,
      "done",
    ]);
    expect((await client.request(linkGet({ name: "hd0" })))?.flags).toSatisfy((f: number) => (f & LinkFlag.UP) !== 0);
  });

  it("says so when the kernel lacks a kind of link", async () => {
    const e = await refusal(client.request(linkAdd({ name: "hd0", info: { kind: "other", name: "nosuchkind" } })));
    expect(isNotSupported(e)).toBe(true);
    expect(e.message).toBe(`create nosuchkind hd0 [${path}]: EOPNOTSUPP: Operation not supported: Unknown device type`);
  });

  it("does more requests at once than one datagram holds", async () => {
    const { index } = await add("hd0");
    const routes = Array.from({ length: 3000 }, (_, i) => ({
      dst: `10.${1 + (i >> 8)}.${i & 0xff}.0/24`,
      oif: index,
      protocol: 201,
    }));
    all(await client.burst(routes.map((r) => routeAdd(r))));
    expect(new Set((await client.routes({ protocol: 201 })).map((r) => r.dst))).toEqual(
      new Set(routes.map((r) => r.dst)),
    );
  });

  it("gives a consistent dump while links come and go", async () => {
    const other = await RtNetlink.open({ netns: path });
    let stop = false;
    const churn = (async () => {
      while (!stop) {
        await other.burst([linkAdd({ name: "hdx", info: { kind: "ifb" } }), linkDelete({ name: "hdx" })]);
      }
    })();
    try {
      for (let i = 0; i < 30; i++) {
        const names = (await client.links()).map((l) => l.name);
        expect(names.filter((n) => n === "lo")).toEqual(["lo"]);
        expect(names.length).toBeLessThanOrEqual(2);
      }
    } finally {
      stop = true;
      await churn;
      await other.close();
    }
  });
});
