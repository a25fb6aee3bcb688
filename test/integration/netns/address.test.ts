import { describe, expect, it } from "vitest";
import { addressDescriptor } from "../../../src/dataplane/linux/l3/address.ts";
import { Ends } from "../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { linkGet } from "../../../src/dataplane/linux/netlink/link-requests.ts";
import { RouteType } from "../../../src/dataplane/linux/netlink/route.ts";
import { routeLookup } from "../../../src/dataplane/linux/netlink/route-requests.ts";
import { addressKey } from "../../../src/models/linux.ts";
import { bySockets } from "../../support/linux/by-sockets.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

describe.skipIf(!isRoot)("addressDescriptor", () => {
  it("returns when the kernel receives for the address, also for IPv6, where it takes until after the acknowledgement", async () => {
    using namespaces = new TestNamespaces();
    const netns = withPair(namespaces);
    await using node = await RtNetlink.open({ netns });
    const { descriptor, ctx } = await onPair(node);
    // Many, since what comes too late comes so by some microseconds only.
    for (let i = 1; i <= 200; i++) {
      for (const [address, prefix] of [
        [`10.1.0.${i}`, 32],
        [`fd01::${i.toString(16)}`, 128],
      ] as const) {
        const value = { link: "hdtveth", end: "node", address, prefix } as const;
        await descriptor.create(addressKey(value), value, ctx);
        expect((await node.request(routeLookup(address)))?.type, address).toBe(RouteType.LOCAL);
      }
    }
  });

  it("can keep the kernel from choosing an address as a source, and reads that back", async () => {
    using namespaces = new TestNamespaces();
    const netns = withPair(namespaces);
    await using node = await RtNetlink.open({ netns });
    const { descriptor, ctx } = await onPair(node);
    const on = { link: "hdtveth", end: "node" } as const;
    const values = [
      { ...on, address: "10.1.0.1", prefix: 32, bySource: true },
      { ...on, address: "10.9.0.1", prefix: 32 },
      { ...on, address: "fd01::1", prefix: 128, bySource: true },
      { ...on, address: "fd09::1", prefix: 128 },
    ] as const;
    for (const value of values) await descriptor.create(addressKey(value), value, ctx);
    // The nearer ones by every other rule.
    runIn(netns, "ip route add 10.1.0.0/24 via 10.200.0.1 dev hdtveth onlink");
    runIn(netns, "ip route add fd01::/64 dev hdtveth");
    expect(runIn(netns, "ip route get 10.1.0.7")).toContain("src 10.9.0.1");
    expect(runIn(netns, "ip route get fd01::7")).toContain("src fd09::1");
    runIn(netns, "ip route add 10.2.0.0/24 via 10.200.0.1 dev hdtveth onlink src 10.1.0.1");
    expect(runIn(netns, "ip route get 10.2.0.7")).toContain("src 10.1.0.1");

    const correlate = values.map((value) => ({ key: addressKey(value), value }));
    const found = await descriptor.retrieve?.(correlate as never, ctx);
    expect(found?.map(({ value }) => value)).toEqual(expect.arrayContaining([...values]));
    expect(found).toHaveLength(values.length);
  });
});

/** A namespace with the pair hdtveth – hdtpeer, both up. */
function withPair(namespaces: TestNamespaces): string {
  const netns = namespaces.add();
  runIn(netns, "ip link add hdtveth type veth peer name hdtpeer");
  for (const link of ["hdtveth", "hdtpeer"]) runIn(netns, `ip link set ${link} up`);
  return netns;
}

async function onPair(node: RtNetlink) {
  const link = await node.request(linkGet({ name: "hdtveth" }));
  const all = new Namespaces(node, (path) => RtNetlink.open({ netns: path }));
  const ctx = {
    signal: AbortSignal.timeout(10_000),
    txn: 1,
    metadata: <M>() => ({ nodeIndex: link?.index }) as M,
  };
  return { descriptor: addressDescriptor(new Ends(all, new Snapshots(bySockets(all)))), ctx };
}
