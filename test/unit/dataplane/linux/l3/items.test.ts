import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../../../src/base/clock/manual-clock.ts";
import { addressDescriptor } from "../../../../../src/dataplane/linux/l3/address.ts";
import { fdbDescriptor } from "../../../../../src/dataplane/linux/l3/fdb.ts";
import { neighbourDescriptor } from "../../../../../src/dataplane/linux/l3/neighbour.ts";
import { routeDescriptor } from "../../../../../src/dataplane/linux/l3/route.ts";
import { Ends } from "../../../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../../../src/dataplane/linux/namespace/snapshots.ts";
import { addressDelete } from "../../../../../src/dataplane/linux/netlink/address.ts";
import { neighbourAdd } from "../../../../../src/dataplane/linux/netlink/neighbour.ts";
import { RouteType } from "../../../../../src/dataplane/linux/netlink/route.ts";
import { routeAdd, routeDelete } from "../../../../../src/dataplane/linux/netlink/route-requests.ts";
import { renderLocalNode, renderPeer } from "../../../../../src/dataplane/linux/nodes/renderer.ts";
import { renderPod } from "../../../../../src/dataplane/linux/pods/renderer.ts";
import { redirectDescriptor } from "../../../../../src/dataplane/linux/shaping/redirect.ts";
import { shaperDescriptor } from "../../../../../src/dataplane/linux/shaping/shaper.ts";
import type { Key, KeyValue } from "../../../../../src/kvscheduler/api/descriptor.ts";
import type { TxnResult } from "../../../../../src/kvscheduler/api/scheduler.ts";
import { createScheduler } from "../../../../../src/kvscheduler/scheduler.ts";
import { HEDDLE_PROTOCOL, linkKey, routeKey, VXLAN_LINK } from "../../../../../src/models/linux.ts";
import { bySockets } from "../../../../support/linux/by-sockets.ts";
import { FakeKernel } from "../../../../support/linux/fake-kernel.ts";
import { fakeLinks } from "../../../../support/linux/fake-links.ts";
import { localRow, peerRow } from "../../../../support/linux/rows.ts";
import { podRow } from "../../../../support/pods/rows.ts";

const HANDLED = /^linux\/(link|address|route|neighbour|fdb|shaper|redirect)\//;
const ours = (items: Iterable<KeyValue>): [Key, unknown][] =>
  [...items].flatMap(({ key, value }): [Key, unknown][] => (HANDLED.test(key) ? [[key, value]] : []));

const PODS = [
  podRow({ hostIf: "hd0000000000001", netns: "/run/netns/c1", routeMetric: 2048 }),
  podRow({
    hostIf: "hd0000000000002",
    netns: "/run/netns/c2",
    ips: ["10.244.1.3", "fd10:244:0:1::3"],
    bandwidth: { ingressRate: 1e6, ingressBurst: 80_000, egressRate: 2e6, egressBurst: 160_000 },
  }),
];
const LOCAL = localRow();
const PEERS = [peerRow(2), peerRow(3)];
const ALL = [
  ...ours(renderLocalNode(LOCAL)),
  ...PEERS.flatMap((p) => ours(renderPeer(p, LOCAL))),
  ...PODS.flatMap((p) => ours(renderPod(p))),
];

function setUp() {
  const kernel = new FakeKernel();
  const links = fakeLinks(kernel);
  /** A scheduler that knows nothing yet, over the same kernel. */
  const start = () => {
    const namespaces = new Namespaces(kernel.node, kernel.open);
    const ends = new Ends(namespaces, new Snapshots(bySockets(namespaces)));
    const scheduler = createScheduler({ clock: new ManualClock() });
    scheduler.register(links);
    scheduler.register(addressDescriptor(ends));
    scheduler.register(routeDescriptor(ends));
    scheduler.register(neighbourDescriptor(ends));
    scheduler.register(fdbDescriptor(ends));
    scheduler.register(shaperDescriptor(ends));
    scheduler.register(redirectDescriptor(ends));
    return scheduler;
  };
  const scheduler = start();
  const namespaces = () => [kernel.node, ...kernel.pods.values()];
  const takeChanges = () => namespaces().flatMap((ns) => ns.changes.splice(0));
  return { kernel, scheduler, start, takeChanges };
}

async function inPlace() {
  const rig = setUp();
  const { errors, pending } = await rig.scheduler.transact({ resync: "full", changes: ALL });
  expect([[...errors], pending]).toEqual([[], []]);
  const made = rig.takeChanges();
  return { ...rig, made };
}

const ops = ({ record }: TxnResult): string[] =>
  record.executed.filter((op) => !op.noop && !op.carried).map((op) => `${op.op} ${op.key}`);

describe("what lies on links", () => {
  it("is asked of the kernel in these words", async () => {
    const { made } = await inPlace();
    const about = (text: string) =>
      made.filter((words) => words.includes(text)).map((w) => w.replace(/link \d\d/, "link n"));
    expect(about("10.244.1.2").sort()).toEqual([
      "set address 10.244.1.2/32 on link 2",
      "set neighbour 10.244.1.2 at 02:00:00:00:00:01 on link n",
      "set route 10.244.1.2/32 on link n",
    ]);
    expect(about("fd10:244:0:2:").sort()).toEqual([
      "set neighbour fd10:244:0:2::1 at 12:2b:00:00:00:02 on link n",
      "set route fd10:244:0:2::/64 via fd10:244:0:2::1 on link n onlink",
    ]);
  });

  it("that is right is left alone, also by a restarted agent", async () => {
    const { scheduler, start, takeChanges } = await inPlace();
    expect(ops(await scheduler.transact({ resync: "downstream" }))).toEqual([]);
    expect(ops(await start().transact({ resync: "full", changes: ALL }))).toEqual([]);
    expect(takeChanges()).toEqual([]);
  });

  it("is read once for all kinds of one resync", async () => {
    const { scheduler, kernel } = await inPlace();
    kernel.node.counts.dumps = 0;
    for (const pod of kernel.pods.values()) pod.counts.dumps = 0;
    await scheduler.transact({ resync: "downstream" });
    // Links, addresses, routes, neighbours, forwarding entries; disciplines for each of two kinds, filters of one link.
    expect(kernel.node.counts.dumps).toBe(5 + 2 + 1);
    expect([...kernel.pods.values()].map((pod) => pod.counts.dumps)).toEqual([4, 4]);
  });

  it("goes with its link, which alone is removed", async () => {
    const { scheduler, takeChanges } = await inPlace();
    const [first] = PODS;
    const gone = first ? ours(renderPod(first)) : [];
    const result = await scheduler.transact({ changes: gone.map(([key]) => [key, undefined]) });
    expect(result.errors.size).toBe(0);
    expect(ops(result)).toEqual([`delete ${linkKey("hd0000000000001")}`]);
    expect(takeChanges()).toEqual([]);
    expect(ops(await scheduler.transact({ resync: "downstream" }))).toEqual([]);
  });

  it("can be removed while the link stays", async () => {
    const { scheduler, takeChanges } = await inPlace();
    const rest = ALL.filter(([key]) => key.startsWith("linux/link/"));
    const { errors } = await scheduler.transact({ resync: "upstream", changes: rest });
    expect([...errors]).toEqual([]);
    const words = takeChanges();
    expect(words).toHaveLength(ALL.length - rest.length);
    for (const line of words) expect(line).toMatch(/^delete /);
  });

  it("that somebody has removed is no failure to remove", async () => {
    const { scheduler, kernel } = await inPlace();
    await kernel.node.request(routeDelete({ dst: "10.244.2.0/24" }));
    const peer = PEERS[0] ? ours(renderPeer(PEERS[0], LOCAL)) : [];
    const { errors } = await scheduler.transact({ changes: peer.map(([key]) => [key, undefined]) });
    expect([...errors]).toEqual([]);
  });
});

describe("what others do to what lies on links", () => {
  it("is repaired where something of ours is missing", async () => {
    const { scheduler, kernel } = await inPlace();
    await kernel.pod("/run/netns/c1").request(addressDelete({ index: 2, address: "10.244.1.2/32" }));
    await kernel.node.request(routeDelete({ dst: "10.244.3.0/24" }));
    expect(ops(await scheduler.transact({ resync: "downstream" })).sort()).toEqual([
      "create linux/address/hd0000000000001/pod/10.244.1.2/32",
      "create linux/route/node/10.244.3.0/24",
    ]);
  });

  it("is undone where it is marked as ours, and left alone where it is not", async () => {
    const { scheduler, kernel, takeChanges } = await inPlace();
    const index = scheduler.metadata<{ nodeIndex: number }>(linkKey(VXLAN_LINK))?.nodeIndex ?? 0;
    await kernel.node.request(routeAdd({ dst: "10.99.0.0/16", oif: index, protocol: HEDDLE_PROTOCOL }, "replace"));
    await kernel.node.request(routeAdd({ dst: "10.98.0.0/16", oif: index, protocol: 4 }, "replace"));
    await kernel.node.request(
      routeAdd({ dst: "10.97.0.0/16", type: RouteType.UNREACHABLE, protocol: HEDDLE_PROTOCOL }, "replace"),
    );
    await kernel.node.request(
      routeAdd({ dst: "10.96.0.0/16", oif: index, protocol: HEDDLE_PROTOCOL, table: 100 }, "replace"),
    );
    await kernel.node.request(neighbourAdd({ index, dst: "10.9.9.9", address: "02:00:00:00:00:09" }));
    takeChanges();
    await scheduler.transact({ resync: "downstream" });
    expect(takeChanges().sort()).toEqual([
      `delete route 10.99.0.0/16 on link ${index}`,
      "delete unreachable route 10.97.0.0/16",
    ]);
  });

  it("is undone where a route leads elsewhere", async () => {
    const { scheduler, kernel } = await inPlace();
    const index = scheduler.metadata<{ nodeIndex: number }>(linkKey(VXLAN_LINK))?.nodeIndex ?? 0;
    const route = { dst: "10.244.2.0/24", oif: index, gateway: "10.9.9.9", flags: 4, protocol: HEDDLE_PROTOCOL };
    await kernel.node.request(routeAdd(route, "replace"));
    const key = routeKey({ end: "node", dst: "10.244.2.0/24" });
    expect(ops(await scheduler.transact({ resync: "downstream" }))).toEqual([`update ${key}`]);
    expect(ops(await scheduler.transact({ resync: "downstream" }))).toEqual([]);
  });

  it("takes nothing of a pod whose namespace is gone with it", async () => {
    const { scheduler, kernel } = await inPlace();
    kernel.pods.delete("/run/netns/c1");
    const { record } = await scheduler.transact({ resync: "downstream" });
    const touched = record.executed.filter((op) => !op.key.includes("hd0000000000001"));
    expect(touched).toEqual([]);
  });
});

describe("a route", () => {
  it("whose metric changes is removed before it is made again", async () => {
    const { scheduler, takeChanges } = await inPlace();
    const [pod] = PODS;
    const changes = pod ? ours(renderPod({ ...pod, routeMetric: 2049 })) : [];
    await scheduler.transact({ changes });
    expect(takeChanges().filter((words) => words.includes("0.0.0.0/0"))).toEqual([
      "delete route 0.0.0.0/0 via 169.254.1.1 on link 2 onlink metric 2048",
      "set route 0.0.0.0/0 via 169.254.1.1 on link 2 onlink metric 2049",
    ]);
  });

  it("that the kernel refuses fails alone", async () => {
    const { kernel, scheduler } = setUp();
    await scheduler.transact({ resync: "full", changes: ALL.filter(([key]) => key.startsWith("linux/link/")) });
    kernel.pod("/run/netns/c2").failures.set("set route ::/0 via fe80::1 on link 2 onlink", new Error("no IPv6 here"));
    const { errors } = await scheduler.transact({ changes: ALL });
    expect([...errors].map(([key, e]) => `${key}: ${e.message}`)).toEqual([
      "linux/route/hd0000000000002/pod/::/0: no IPv6 here",
    ]);
  });
});
