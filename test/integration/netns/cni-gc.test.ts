import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, type CniAnswer, type TestPod } from "../../support/agent-node.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

onEachDataplane("GC", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane, config: { healing: { periodSeconds: 0, afterErrorSeconds: 60 } } });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  function gc(valid: readonly TestPod[], conf: Readonly<Record<string, unknown>> = {}): Promise<CniAnswer> {
    const attachments = valid.map((pod) => ({ containerID: pod.containerId, ifname: "eth0" }));
    return node.cni("GC", { conf: { "cni.dev/valid-attachments": attachments, ...conf } });
  }

  const wired = async () => (await node.status()).pods.map((pod) => pod.containerId).sort();
  const ids = (...pods: readonly TestPod[]) => pods.map((pod) => pod.containerId).sort();

  it("removes what is not listed, and nothing of what is", async () => {
    const [kept, stale] = [await node.wiredPod(), await node.pod()];
    const withKept = await node.snapshot();
    await stale.add();
    expect(await gc([kept])).toEqual(silent);
    expect(await node.differencesTo(withKept)).toEqual([]);
    expect(await kept.check()).toEqual(silent);
    expect(await (await node.prober()).probe("icmp", node.netns, kept.ips()[0])).toMatchObject({ ok: true });
    expect(await gc([])).toEqual(silent);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("goes by container and interface", async () => {
    const pod = await node.wiredPod();
    const withOne = await node.snapshot();
    await pod.add({ ifname: "net1" });
    expect(await gc([pod])).toEqual(silent);
    expect(await node.differencesTo(withOne)).toEqual([]);
    await node.removePod(pod);
  });

  it("leaves the pods of other networks alone", async () => {
    const pod = await node.wiredPod();
    expect(await gc([], { name: "another-network" })).toEqual(silent);
    expect(await pod.check()).toEqual(silent);
    await node.removePod(pod);
  });

  it("returns the addresses of pods that are not listed", async () => {
    const pods = [await node.wiredPod(), await node.wiredPod(), await node.wiredPod()];
    const used = async () => (await node.status()).addresses.map((pool) => pool.used);
    expect(await used()).toEqual([3, 3]);
    // As after a crash of the runtime: the namespaces are gone.
    for (const pod of pods) await node.deleteNetns(pod.netns);
    expect(await gc([])).toEqual(silent);
    expect(await used()).toEqual([0, 0]);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("goes on after an error and reports it", async () => {
    const runtimeConfig = (hostPort: number) => ({ portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }] });
    const [kept, stuck] = [await node.wiredPod(), await node.wiredPod({ runtimeConfig: runtimeConfig(8081) })];
    const stale = [await node.wiredPod({ runtimeConfig: runtimeConfig(8082) }), await node.wiredPod()];
    node.nftGate.refuse("tcp . 8081");
    const answer = await gc([kept]);
    expect(answer).toMatchObject({ exitCode: 1, error: { code: 11, msg: "not everything could be removed" } });
    expect(answer.error?.details).toContain(stuck.containerId);
    for (const pod of [kept, ...stale]) expect(answer.error?.details).not.toContain(pod.containerId);
    expect(await wired()).toEqual(ids(kept, stuck));
    expect(node.sandboxRecords()).toHaveLength(2);
    // What could not be removed keeps its addresses: nobody else may get them.
    expect((await node.status()).addresses.map((pool) => pool.used)).toEqual([2, 2]);
    node.nftGate.allow();
    expect(await gc([kept])).toEqual(silent);
    expect(await wired()).toEqual(ids(kept));
    expect(await kept.check()).toEqual(silent);
    await node.removePod(kept);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("removes nothing without its list", async () => {
    const pod = await node.wiredPod();
    expect(await node.cni("GC")).toMatchObject({ exitCode: 1, error: { code: 7 } });
    expect(await wired()).toEqual(ids(pod));
    await node.removePod(pod);
  });
});
