import { afterAll, beforeAll, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, type TestPod } from "../../support/agent-node.ts";

/** More than 15, with which a VPP that is left to itself hangs (native/vpp/epoll-wait.cc). */
const PODS = 40;

onEachDataplane("many operations at once", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;
  const pods: TestPod[] = [];

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane });
    before = await node.snapshot();
    for (let i = 0; i < PODS; i++) pods.push(await node.pod());
  });

  afterAll(() => node?.close());

  it("serves a burst of ADDs and DELs, each with its own result", async () => {
    const prober = await node.prober();
    await Promise.all(pods.map((pod) => pod.add()));
    const ips = pods.flatMap((pod) => pod.ips());
    expect(new Set(ips).size).toBe(2 * PODS);
    for (const pod of pods) expect(pod.result().interfaces[1]?.sandbox).toBe(pod.path);
    const probes = await Promise.all(ips.map((ip) => prober.probe("icmp", node.netns, ip, { timeoutMs: 5000 })));
    expect(probes.filter((probe) => !probe.ok)).toEqual([]);
    await Promise.all(pods.map((pod) => pod.del()));
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("some that fail in a burst take nothing from the others", async () => {
    const fails = (i: number) => i % 4 === 0;
    const answers = await Promise.all(
      pods.map((pod, i) => pod.call("ADD", fails(i) ? { runtimeConfig: { ips: ["192.0.2.1"] } } : {})),
    );
    for (const [i, { exitCode, error }] of answers.entries()) {
      expect([exitCode, error?.code], `pod ${i}`).toEqual(fails(i) ? [1, 103] : [0, undefined]);
    }
    const wired = pods.filter((_pod, i) => !fails(i));
    const checks = await Promise.all(wired.map((pod) => pod.check()));
    expect(checks.filter((check) => check.exitCode !== 0)).toEqual([]);
    expect((await node.status()).pods).toHaveLength(wired.length);
    await Promise.all(wired.map((pod) => pod.del()));
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("ADDs and DELs of other pods at the same time do not disturb each other", async () => {
    const [first, second] = [pods.slice(0, PODS / 2), pods.slice(PODS / 2)];
    await Promise.all(first.map((pod) => pod.add()));
    for (let round = 0; round < 2; round++) {
      const [gone, come] = round % 2 === 0 ? [first, second] : [second, first];
      await Promise.all([...gone.map((pod) => pod.del()), ...come.map((pod) => pod.add())]);
      const checks = await Promise.all(come.map((pod) => pod.check()));
      expect(checks.filter((check) => check.exitCode !== 0)).toEqual([]);
    }
    await Promise.all(first.map((pod) => pod.del()));
    expect(await node.differencesTo(before)).toEqual([]);
  });
});
