import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoNetns } from "../../support/agent-node.ts";
import { noEtcd } from "../../support/etcd.ts";
import { RestartLab } from "../../support/restart-lab.ts";
import { until } from "../../support/until.ts";

const why = whyNoNetns() ?? noEtcd;

describe.skipIf(why !== undefined)(`the store${why ? ` (skipped: ${why})` : ""}`, () => {
  let lab: RestartLab;
  let ids: Record<string, number>;

  const idOf = async (node: string): Promise<number> => (await lab.status(node)).node.id;

  /** What a node's kernel has of a peer: all of it, or what is left of it. */
  async function tracesOf(peer: string, on: string): Promise<string[]> {
    const id = ids[peer] ?? 0;
    const marks = [`10.244.${id}.`, `fd10:244:0:${id}::`, `12:2b:00:00:00:0${id}`];
    const snapshot = await lab.snapshot(on);
    return ["route", "neighbour", "fdb entry"].flatMap((kind) =>
      [...(snapshot.get(kind) ?? [])].filter((thing) => marks.some((mark) => thing.includes(mark))),
    );
  }
  const WHOLE_PEER = 5; // two routes, two neighbours, one forwarding entry

  const knows = (on: string, peer: string): Promise<boolean> =>
    tracesOf(peer, on).then((traces) => traces.length === WHOLE_PEER);
  const forgot = (on: string, peer: string): Promise<boolean> =>
    tracesOf(peer, on).then((traces) => traces.length === 0);

  /** Ends a node's agent for good, and takes its records out of the store as the removal of a Node does. */
  async function leave(node: string): Promise<void> {
    await lab.stopAgent(node, false);
    await lab.etcdctl("del", `/heddle/nodes/info/${node}`);
    await lab.etcdctl("del", `/heddle/nodes/names/${node}`);
    await lab.etcdctl("del", `/heddle/nodes/ids/${ids[node] ?? 0}`);
  }

  /** ADD, CHECK and DEL of a pod that others reach. */
  async function works(node: string, from: string): Promise<void> {
    const pod = await lab.lab.addPod("s/new", node);
    expect(await lab.reaches(from, "s/new")).toBe(true);
    await lab.lab.pods.check(pod);
    await lab.lab.delPod("s/new");
  }

  const allReach = async (): Promise<void> => {
    for (const [from, to] of [
      ["s/a", "s/b"],
      ["s/a", "s/c"],
      ["s/c", "s/b"],
    ] as const) {
      expect(await lab.reaches(from, to), `${from} to ${to}`).toBe(true);
    }
  };

  beforeAll(async () => {
    // Where policies are enforced, a pod that is added while the store is away waits for it: test/integration/policy/faults.test.ts.
    lab = await RestartLab.up({ nodes: 3, store: "etcd", policies: false });
    for (const [pod, node] of [
      ["s/a", "n1"],
      ["s/b", "n1"],
      ["s/c", "n2"],
      ["s/d", "n3"],
    ] as const) {
      await lab.lab.addPod(pod, node);
    }
    ids = { n1: await idOf("n1"), n2: await idOf("n2"), n3: await idOf("n3") };
    await until("all know each other", async () => (await knows("n1", "n3")) && (await knows("n2", "n3")));
  });
  afterAll(() => lab?.close());

  it("may be killed and come back: pods go on, are added, checked and removed meanwhile", async () => {
    await lab.stopStore();
    await allReach();
    await works("n1", "s/c");
    await lab.startStore();
    await allReach();
    await until("n1 is up to date", async () => (await lab.status("n1")).store.staleForMs === 0, 20_000);
  });

  it("tells all nodes of one that leaves, and of one that joins", async () => {
    await leave("n3");
    await until("the others have forgotten n3", async () => (await forgot("n1", "n3")) && (await forgot("n2", "n3")));
    expect((await lab.status("n1")).peers.map((p) => p.name)).toEqual(["n2"]);
    await allReach();
    await lab.startAgent("n3");
    await until("the others know n3 again", async () => (await knows("n1", "n3")) && (await knows("n2", "n3")));
    expect(await idOf("n3")).toBe(ids["n3"]);
    expect(await lab.reaches("s/a", "s/d")).toBe(true);
  });

  it("may be away when an agent starts: the mirror has what it needs", async () => {
    await lab.stopStore();
    for (const kill of [true, false]) {
      await lab.stopAgent("n1", kill);
      await allReach();
      await lab.startAgent("n1");
      expect(await knows("n1", "n2")).toBe(true);
      await allReach();
      await works("n1", "s/c");
    }
    const status = await lab.status("n1");
    expect(status.peers.map((p) => p.name)).toEqual(["n2", "n3"]);
    expect(status.store.staleForMs).toBeGreaterThan(0);
    await lab.startStore();
    await until("n1 is up to date", async () => (await lab.status("n1")).store.staleForMs === 0, 20_000);
    await allReach();
  });

  it("tells an agent that started without it what has changed meanwhile", async () => {
    for (const [change, act, before, after] of [
      ["left", () => leave("n3"), knows, forgot],
      ["joined", () => lab.startAgent("n3"), forgot, knows],
    ] as const) {
      const reconnect = await lab.partition("n1");
      await lab.stopAgent("n1");
      await lab.startAgent("n1");
      await act();
      await until(`n2 hears that n3 has ${change}`, () => after("n2", "n3"));
      expect(await before("n1", "n3")).toBe(true);
      await allReach();
      await reconnect();
      await until(`n1 hears that n3 has ${change}`, () => after("n1", "n3"), 40_000);
      await allReach();
    }
    expect(await lab.reaches("s/a", "s/d")).toBe(true);
  });

  it("gets a node's records back when somebody deletes them", async () => {
    const before = await lab.nodeRecords();
    await lab.etcdctl("del", "--prefix", "/heddle/nodes/info/n2");
    await until("n2's record is back", async () => (await lab.nodeRecords()).has("/heddle/nodes/info/n2"));
    await lab.etcdctl("del", `/heddle/nodes/ids/${ids["n2"] ?? 0}`);
    await lab.etcdctl("del", "/heddle/nodes/names/n2");
    await until("n2's claim is back", async () => (await lab.nodeRecords()).size === before.size);
    expect(await lab.nodeRecords()).toEqual(before);
    await until("n1 knows n2", () => knows("n1", "n2"));
    await allReach();
  });

  it("gets everything back after it has lost its data: no ID changes, no subnets overlap", async () => {
    const before = await lab.nodeRecords();
    await lab.stopStore();
    await lab.stopAgent("n2");
    lab.wipeStore();
    await lab.startStore();
    await lab.startAgent("n2");
    await until("all records are back", async () => (await lab.nodeRecords()).size === before.size, 20_000);
    expect(await lab.nodeRecords()).toEqual(before);
    await until("all know each other", async () => (await knows("n1", "n2")) && (await knows("n2", "n1")));
    expect({ n1: await idOf("n1"), n2: await idOf("n2"), n3: await idOf("n3") }).toEqual(ids);
    await allReach();
    await works("n1", "s/c");
  });

  it("has no place for a node whose ID was given to another while the data was lost", async () => {
    await leave("n3");
    await lab.etcdctl("put", `/heddle/nodes/ids/${ids["n3"] ?? 0}`, '{"v":1,"name":"usurper"}');
    await lab.startAgent("n3");
    await expect(lab.lab.addPod("s/no", "n3")).rejects.toMatchObject({
      cniCode: 11,
      message: expect.stringContaining("usurper"),
    });
    expect(await lab.reaches("n3", "s/d")).toBe(true);
    expect(await forgot("n1", "n3")).toBe(true);
    await lab.etcdctl("del", `/heddle/nodes/ids/${ids["n3"] ?? 0}`);
    await until("n3 is back", () => knows("n1", "n3"), 20_000);
    await lab.lab.addPod("s/yes", "n3");
    await lab.lab.delPod("s/yes");
  });

  it("gives a node that comes without its memory its old ID back", async () => {
    await lab.lab.delPod("s/d");
    await lab.stopAgent("n3");
    rmSync(lab.lab.paths.node("n3").stateDir, { recursive: true });
    await lab.startAgent("n3");
    expect(await idOf("n3")).toBe(ids["n3"]);
    await until("n1 knows n3", () => knows("n1", "n3"));
  });
});
