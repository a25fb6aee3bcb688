import { describe, expect, it } from "vitest";
import { carrierDescriptor } from "../../../src/dataplane/linux/link/carrier.ts";
import { Ends } from "../../../src/dataplane/linux/namespace/ends.ts";
import { Namespaces } from "../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../src/dataplane/linux/namespace/snapshots.ts";
import { RtNetlink } from "../../../src/dataplane/linux/netlink/client.ts";
import { OperState } from "../../../src/dataplane/linux/netlink/link.ts";
import { linkGet } from "../../../src/dataplane/linux/netlink/link-requests.ts";
import { carrierKey } from "../../../src/models/linux.ts";
import { bySockets } from "../../support/linux/by-sockets.ts";
import { isRoot, runIn, TestNamespaces } from "./netlink-support.ts";

const VALUE = { link: "hdtnode" };

describe.skipIf(!isRoot)("carrierDescriptor", () => {
  /** A pair whose ends are both down, and the wait for its carrier. */
  async function pair(namespaces: TestNamespaces) {
    const [inNode, inPod] = [namespaces.add(), namespaces.add()];
    runIn(inNode, `ip link add hdtnode type veth peer name eth0 netns ${inPod.split("/").at(-1)}`);
    const node = await RtNetlink.open({ netns: inNode });
    const pod = await RtNetlink.open({ netns: inPod });
    const ends = { node: { on: node, name: "hdtnode" }, pod: { on: pod, name: "eth0" } };
    const indexOf = async ({ on, name }: (typeof ends)["node"]) => (await on.request(linkGet({ name })))?.index;
    const metadata = { nodeIndex: await indexOf(ends.node), pod: { netns: inPod, index: await indexOf(ends.pod) } };
    const all = new Namespaces(node, (path) => RtNetlink.open({ netns: path }));
    const descriptor = carrierDescriptor(new Ends(all, new Snapshots(bySockets(all))));
    const wait = async (signal: AbortSignal): Promise<void> => {
      await descriptor.create(carrierKey(VALUE.link), VALUE, { signal, txn: 1, metadata: <M>() => metadata as M });
    };
    const states = async () =>
      Promise.all([ends.node, ends.pod].map(async ({ on, name }) => (await on.request(linkGet({ name })))?.operState));
    return { inNode, inPod, wait, states, close: () => Promise.all([node.close(), pod.close()]) };
  }

  it("returns when both ends forward, not before", async () => {
    using namespaces = new TestNamespaces();
    const { inNode, inPod, wait, states, close } = await pair(namespaces);
    let returned = false;
    const waiting = wait(AbortSignal.timeout(10_000)).then(() => (returned = true));
    runIn(inNode, "ip link set hdtnode up");
    // Each look is a round trip through the kernel, as each of the waiter's is.
    for (let i = 0; i < 50; i++) expect(await states()).not.toContain(OperState.UP);
    expect(returned).toBe(false);
    runIn(inPod, "ip link set eth0 up");
    await waiting;
    expect(await states()).toEqual([OperState.UP, OperState.UP]);
    await close();
  });

  it("gives up with its signal, and names the end that stays down", async () => {
    using namespaces = new TestNamespaces();
    const { inNode, wait, close } = await pair(namespaces);
    runIn(inNode, "ip link set hdtnode up");
    await expect(wait(AbortSignal.timeout(50))).rejects.toMatchObject({
      code: "NO_CARRIER",
      message: expect.stringMatching(/^the (node|pod)'s end of hdtnode has no carrier$/),
    });
    await close();
  });
});
