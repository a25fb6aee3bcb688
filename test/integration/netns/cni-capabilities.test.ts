import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { startDaemon, stopProcesses } from "../../../src/lab/process/daemon.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { AgentNode, execIn, UNDERLAY } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };

onEachDataplane("what a runtime can ask for", (dataplane) => {
  let node: AgentNode;
  let before: Snapshot;

  beforeAll(async () => {
    node = await AgentNode.start({ dataplane, mtu: 1600 });
  });

  beforeEach(async () => {
    before = await node.snapshot();
  });

  afterAll(() => node?.close());

  it("ips: the pod gets the addresses, also one of a family alone, and CHECK knows them", async () => {
    for (const ips of [["10.244.1.77/24", "fd10:244:0:1::1:77"], ["10.244.1.88"], ["fd10:244:0:1::1:99/64"]]) {
      const pod = await node.wiredPod({ runtimeConfig: { ips } });
      expect(pod.ips()).toEqual(expect.arrayContaining(ips.map((ip) => ip.split("/")[0])));
      expect(pod.result().ips).toHaveLength(2);
      expect(await pod.check({ runtimeConfig: { ips } })).toEqual(silent);
      for (const ip of pod.ips()) {
        expect(await (await node.prober()).probe("icmp", node.netns, ip)).toMatchObject({ ok: true });
      }
      await node.removePod(pod);
    }
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("ips: one that is taken, foreign or the gateway's is refused with its name", async () => {
    const pod = await node.wiredPod();
    const withPod = await node.snapshot();
    for (const ip of [pod.ips()[0], pod.ips()[1], "192.0.2.1", "10.244.1.1", "10.244.1.0", "10.244.1.255"]) {
      const answer = await (await node.pod()).call("ADD", { runtimeConfig: { ips: [ip] } });
      expect(answer, ip).toMatchObject({ exitCode: 1, error: { code: 103, details: expect.stringContaining(ip) } });
    }
    expect(await node.differencesTo(withPod)).toEqual([]);
    await node.removePod(pod);
  });

  it("mac: the pod's interface has it, and is reached by it", async () => {
    const mac = "c2:11:22:33:44:55";
    const pod = await node.wiredPod({ runtimeConfig: { mac } });
    expect(pod.result().interfaces[1]?.mac).toBe(mac);
    expect((await pod.ip("link", "show", "eth0"))[0]).toMatchObject({ address: mac });
    for (const ip of pod.ips()) {
      expect(await (await node.prober()).probe("tcp", node.netns, ip, { port: 9 })).toEqual({
        ok: false,
        error: "ECONNREFUSED",
      });
    }
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("MTU: the underlay's less 50 for the overlay, and a packet of that size passes whole", async () => {
    const pod = await node.wiredPod();
    expect((await pod.ip("link", "show", "eth0"))[0]).toMatchObject({ mtu: 1550 });
    const [ipv4, ipv6] = pod.ips();
    const ping = (size: number, ip: string) => execIn(node.netns, "ping", "-c1", "-W1", "-Mdo", "-s", String(size), ip);
    // 28 bytes of IPv4 and ICMP headers, 48 of IPv6's.
    expect((await ping(1550 - 28, ipv4)).code).toBe(0);
    expect((await ping(1550 - 48, ipv6)).code).toBe(0);
    expect((await ping(1551 - 28, ipv4)).code).not.toBe(0);
    await node.removePod(pod);
  });

  it("MTU: a smaller one of the configuration is used, a larger one is not", async () => {
    for (const [mtu, used] of [
      [1400, 1400],
      [9000, 1550],
    ]) {
      const pod = await node.wiredPod({ conf: { mtu } });
      expect((await pod.ip("link", "show", "eth0"))[0]).toMatchObject({ mtu: used });
      expect(pod.result().interfaces.map((i) => i.mtu)).toEqual([used, used]);
      await node.removePod(pod);
    }
  });

  it("bandwidth: each direction is held to its rate, and nothing of it is left", async () => {
    const [ingressRate, egressRate] = [40_000_000, 20_000_000];
    const runtimeConfig = { bandwidth: { ingressRate, ingressBurst: 1_000_000, egressRate, egressBurst: 1_000_000 } };
    const pod = await node.wiredPod({ runtimeConfig });
    expect(await pod.check({ runtimeConfig })).toEqual(silent);
    const argv = ["iperf3", "-s", "-1", "-B", pod.ips()[0]];
    /** Bits per second that arrived. */
    const rate = async (...more: string[]): Promise<number> => {
      const logFile = `${node.dir}/iperf.log`;
      const server = await startDaemon({ labId: node.id, role: "iperf3", netns: pod.netns, argv, logFile });
      try {
        // One that finds no server yet says so in its report, and ends with 0 all the same.
        const received = await until("iperf3 has connected", async () => {
          const { stdout } = await execIn(node.netns, "iperf3", "-J", "-t", "2", "-c", pod.ips()[0], ...more);
          const report = JSON.parse(stdout) as { end: { sum_received?: { bits_per_second: number } } };
          return report.end.sum_received;
        });
        return received.bits_per_second;
      } finally {
        await stopProcesses([server.id], { kill: true });
      }
    };
    const [ingress, egress] = [await rate(), await rate("-R")];
    // Headers take 4 %; the burst, over two seconds, adds little.
    expect(ingress / ingressRate).toBeGreaterThan(0.7);
    expect(ingress / ingressRate).toBeLessThan(1.1);
    expect(egress / egressRate).toBeGreaterThan(0.7);
    expect(egress / egressRate).toBeLessThan(1.1);
    await node.removePod(pod);
    expect(await node.differencesTo(before)).toEqual([]);
  });

  it("a pod reaches a host outside of the cluster under the node's address", async () => {
    const prober = await node.prober();
    const pod = await node.wiredPod();
    await prober.serve(node.outside);
    for (const { node: nodeIp, outside } of Object.values(UNDERLAY)) {
      for (const kind of ["tcp", "udp"] as const) {
        expect(await prober.probe(kind, pod.netns, outside)).toMatchObject({ ok: true, seenAs: nodeIp });
      }
    }
    await prober.unserve(node.outside);
    await node.removePod(pod);
  });
});
