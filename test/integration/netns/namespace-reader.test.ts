import { describe, expect, it } from "vitest";
import { NamespaceReader } from "../../../src/dataplane/linux/namespace/namespace-reader.ts";
import { until } from "../../support/until.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

describe.skipIf(!isRoot)("a reader of namespaces", () => {
  it("yields the very same snapshot as long as nothing has changed, with traffic or without", async () => {
    using namespaces = new TestNamespaces();
    const netns = withPod(namespaces);
    const reader = new NamespaceReader();
    const first = await reader.read(netns);
    expect(first.links.map(({ name }) => name).sort()).toEqual(["eth0", "lo", "peer"]);
    expect(first.addresses.map(({ address }) => address)).toEqual(
      expect.arrayContaining(["10.1.0.2/32", "fd01::2/128"]),
    );
    expect(first.neighbours.map(({ dst, address }) => `${dst} ${address}`)).toEqual(["169.254.1.1 02:00:00:00:00:01"]);
    // The kernel tells of carriers when it gets to it.
    const settled = await until("the same twice", async () => {
      const before = await reader.read(netns);
      runIn(netns, "sleep 0.2");
      return (await reader.read(netns)) === before ? before : undefined;
    });
    runIn(netns, "ping -c 3 -i 0.01 -q 10.1.0.2");
    expect(await reader.read(netns)).toBe(settled);
    reader.forget(netns);
    const anew = await reader.read(netns);
    expect(anew).not.toBe(settled);
    expect(anew.links).toEqual(settled.links);
  });

  it.each([
    ["an address", "ip addr add 10.1.0.3/32 dev eth0", "ip addr del 10.1.0.3/32 dev eth0"],
    ["a link's state", "ip link set eth0 down", "ip link set eth0 up"],
    ["a MTU", "ip link set eth0 mtu 1400", "ip link set eth0 mtu 1500"],
    ["a neighbour", "ip neigh del 169.254.1.1 dev eth0", NEIGHBOUR],
    ["a route of ours", "ip route add 10.9.0.0/24 dev eth0 proto 104", "ip route del 10.9.0.0/24 dev eth0"],
  ])("sees %s that comes and goes", async (_what, change, back) => {
    using namespaces = new TestNamespaces();
    const netns = withPod(namespaces);
    const reader = new NamespaceReader();
    const before = await reader.read(netns);
    runIn(netns, change);
    const changed = await reader.read(netns);
    expect(changed).not.toBe(before);
    expect(changed).not.toEqual(before);
    runIn(netns, back);
    expect(await reader.read(netns)).not.toBe(changed);
  });

  it("yields the very same snapshot whoever asks for which features, of this process's own namespace as well", async () => {
    using namespaces = new TestNamespaces();
    const netns = withPod(namespaces);
    const reader = new NamespaceReader();
    const [tso, gso] = (["tso", "gso"] as const).map((feature) => ({ link: "eth0", features: [feature] }));
    const first = await reader.read(netns, tso);
    expect(first.features).toEqual({ link: "eth0", on: ["tso"] });
    expect(await reader.read(netns)).toBe(first);
    expect(await reader.read(netns, { link: "lo", features: ["tx"] })).toMatchObject({ features: { link: "lo" } });
    expect(await reader.read(netns, tso)).toBe(first);
    expect((await reader.read(netns, gso)).features?.on).toEqual(["gso"]);
    const node = await reader.node();
    expect(node.links.map(({ name }) => name)).toContain("lo");
    expect(await reader.node()).toBe(node);
    expect(await reader.read("/proc/self/ns/net")).toMatchObject({ links: node.links, fdb: [] });
  });

  it("rejects where there is no namespace", async () => {
    using namespaces = new TestNamespaces();
    const netns = withPod(namespaces);
    const reader = new NamespaceReader();
    await expect(reader.read("/run/netns/hdt-none")).rejects.toMatchObject({ code: "ENOENT" });
    await expect(reader.read("/etc/hostname")).rejects.toMatchObject({ code: "NOT_A_NETNS" });
    expect((await reader.read(netns)).links).toHaveLength(3);
  });
});

const NEIGHBOUR = "ip neigh add 169.254.1.1 lladdr 02:00:00:00:00:01 nud permanent proto 104 dev eth0";

/** The path of a namespace with eth0 as a pod has it. */
function withPod(namespaces: TestNamespaces): string {
  const netns = namespaces.add();
  for (const command of [
    "ip link set lo up",
    "ip link add eth0 type veth peer name peer",
    "ip link set peer up",
    "ip link set eth0 up",
    "ip addr add 10.1.0.2/32 dev eth0",
    "ip -6 addr add fd01::2/128 dev eth0 nodad",
    "ip route add 169.254.1.1/32 dev eth0 proto 104",
    NEIGHBOUR,
  ]) {
    runIn(netns, command);
  }
  return netns;
}
