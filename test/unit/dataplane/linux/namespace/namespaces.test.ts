import { describe, expect, it } from "vitest";
import { Namespaces, type NetlinkSocket } from "../../../../../src/dataplane/linux/namespace/namespaces.ts";
import { Snapshots } from "../../../../../src/dataplane/linux/namespace/snapshots.ts";
import { turns } from "../../../../support/controller/fakes.ts";
import { bySockets } from "../../../../support/linux/by-sockets.ts";
import { FakeKernel, FakeNamespace } from "../../../../support/linux/fake-kernel.ts";

function setUp() {
  const opened: string[] = [];
  const kernel = new FakeKernel();
  const namespaces = new Namespaces(kernel.node, (netns): Promise<NetlinkSocket> => {
    opened.push(netns);
    return kernel.open(netns);
  });
  return { kernel, namespaces, opened };
}

describe("a pod's namespace", () => {
  it("is opened once for those who use it at the same time, and closed behind the last", async () => {
    const { kernel, namespaces, opened } = setUp();
    const pod = kernel.pod("/p");
    const gate = Promise.withResolvers<void>();
    const work = [1, 2].map((n) => namespaces.in("/p", () => gate.promise.then(() => n)));
    await turns();
    expect([opened, pod.counts.closed]).toEqual([["/p"], 0]);
    gate.resolve();
    expect(await Promise.all(work)).toEqual([1, 2]);
    expect(pod.counts.closed).toBe(0);
    await turns();
    expect(pod.counts.closed).toBe(1);
  });

  it("stays open for who follows at once, and is opened again for who comes later", async () => {
    const { kernel, namespaces, opened } = setUp();
    kernel.pod("/p");
    await namespaces.in("/p", async () => {});
    await namespaces.in("/p", async () => {});
    expect(opened).toEqual(["/p"]);
    await turns();
    await namespaces.in("/p", async () => {});
    expect(opened).toEqual(["/p", "/p"]);
  });

  it("is closed also when the work fails", async () => {
    const { kernel, namespaces } = setUp();
    const pod = kernel.pod("/p");
    await expect(namespaces.in("/p", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await turns();
    expect(pod.counts.closed).toBe(1);
  });

  it("that cannot be opened says so to all, and is tried again later", async () => {
    const { kernel, namespaces, opened } = setUp();
    const failed = [1, 2].map(() => namespaces.in("/p", async () => {}).catch((e: unknown) => (e as Error).message));
    expect(await Promise.all(failed)).toEqual(["open /p: ENOENT", "open /p: ENOENT"]);
    await turns();
    kernel.pod("/p");
    await namespaces.in("/p", async () => {});
    expect(opened).toEqual(["/p", "/p"]);
  });
});

describe("a snapshot", () => {
  it("serves one transaction, until something is changed", async () => {
    const { kernel, namespaces } = setUp();
    const snapshots = new Snapshots(bySockets(namespaces));
    const reads = async (txn: number) => {
      kernel.node.counts.dumps = 0;
      await Promise.all([snapshots.node({ txn }), snapshots.node({ txn })]);
      return kernel.node.counts.dumps;
    };
    expect([await reads(1), await reads(1), await reads(2)]).toEqual([5, 0, 5]);
    snapshots.changed();
    expect(await reads(2)).toBe(5);
  });

  it("of a namespace that is gone, or is none any more, is none", async () => {
    const { kernel, namespaces } = setUp();
    const snapshots = new Snapshots(bySockets(namespaces));
    expect(await snapshots.pod({ txn: 1 }, "/none")).toBeUndefined();
    const other = new Namespaces(new FakeNamespace(), () =>
      Promise.reject(Object.assign(new Error("a file"), { code: "NOT_A_NETNS" })),
    );
    expect(await new Snapshots(bySockets(other)).pod({ txn: 1 }, "/file")).toBeUndefined();
    kernel.pod("/p").addLink({ index: 7, name: "eth0" });
    expect((await snapshots.pod({ txn: 1 }, "/p"))?.nameOf(7)).toBe("eth0");
  });

  it("that cannot be taken is an error, not an empty one", async () => {
    const broken = new Namespaces(new FakeNamespace(), () => Promise.reject(new Error("too many open files")));
    await expect(new Snapshots(bySockets(broken)).pod({ txn: 1 }, "/p")).rejects.toThrow("too many open files");
  });
});
