import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Snapshot } from "../../../src/lab/demo/snapshot.ts";
import { setSysctls } from "../../../src/lab/net/ip.ts";
import type { Prober } from "../../../src/lab/probe/client.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { sctpExchange } from "../../support/agent-node/sctp.ts";
import { AgentNode, execIn, type TestPod, UNDERLAY } from "../../support/agent-node.ts";
import { until } from "../../support/until.ts";

const silent = { exitCode: 0, result: undefined, error: undefined, stderr: "" };
const PORT = 7000;

const mapping = (hostPort: number, protocol: string, hostIP?: string) => ({
  hostPort,
  containerPort: PORT,
  protocol,
  ...(hostIP === undefined ? {} : { hostIP }),
});

/** Whether the cluster's services are served, or left to others. */
const WITH_SERVICES = [false, true];

for (const enabled of WITH_SERVICES) {
  onEachDataplane(enabled ? "host ports beside services" : "host ports", (dataplane) => {
    let node: AgentNode;
    let prober: Prober;
    let before: Snapshot;
    /** Has the ports; the other one has none. */
    let pod: TestPod;
    let other: TestPod;

    beforeAll(async () => {
      node = await AgentNode.start({ dataplane, config: { services: { enabled } } });
      prober = await node.prober();
      before = await node.snapshot();
      pod = await node.pod();
      other = await node.wiredPod();
      await pod.add({
        runtimeConfig: {
          portMappings: [
            mapping(8000, "tcp"),
            mapping(8000, "udp"),
            mapping(8132, "sctp"),
            mapping(8004, "tcp", "0.0.0.0"),
            mapping(8006, "tcp", "::"),
            mapping(8014, "tcp", UNDERLAY.ipv4.node),
            mapping(8016, "udp", UNDERLAY.ipv6.node),
          ],
        },
      });
      await prober.serve(pod.netns, PORT);
      // Where a probe that was not translated would end.
      await prober.serve(other.netns, PORT);
      // VPP drops what it has to ask for a neighbour for.
      for (const { outside } of Object.values(UNDERLAY)) {
        await until("the outside is reached", async () => (await prober.probe("icmp", pod.netns, outside)).ok);
      }
    });

    afterAll(() => node?.close());

    describe.each(["ipv4", "ipv6"] as const)("over %s", (family) => {
      const { node: nodeIp, outside } = UNDERLAY[family];
      const index = family === "ipv4" ? 0 : 1;

      it.each(["tcp", "udp"] as const)("%s from outside arrives with the client's address", async (kind) => {
        const result = await prober.probe(kind, node.outside, nodeIp, { port: 8000 });
        expect(result).toMatchObject({ ok: true, seenAs: outside });
      });

      it.each(["tcp", "udp"] as const)("%s from the node itself", async (kind) => {
        expect(await prober.probe(kind, node.netns, nodeIp, { port: 8000 })).toMatchObject({
          ok: true,
          seenAs: nodeIp,
        });
      });

      it.each(["tcp", "udp"] as const)("%s from another pod of the node", async (kind) => {
        const result = await prober.probe(kind, other.netns, nodeIp, { port: 8000 });
        expect(result).toMatchObject({ ok: true, seenAs: other.ips()[index] });
      });

      it.each(["tcp", "udp"] as const)("%s from the pod to itself", async (kind) => {
        const result = await prober.probe(kind, pod.netns, nodeIp, { port: 8000 });
        // Not its own address: it would answer itself past the translation.
        expect(result).toMatchObject({ ok: true });
        expect(result.ok && result.seenAs).not.toBe(pod.ips()[index]);
      });

      it("sctp: INIT arrives with the client's address, and INIT ACK comes back from the node's", async () => {
        const to = { address: nodeIp, port: 8132 };
        const at = { address: pod.ips()[index] ?? "", port: PORT };
        expect(await sctpExchange(node.outside, to, pod.netns, at)).toEqual({
          init: { from: outside, port: 40132, checksum: true },
          ack: { from: nodeIp, port: 8132, checksum: true },
        });
      });

      it("a port for one family or address is no other's", async () => {
        const open = async (kind: "tcp" | "udp", port: number) =>
          (await prober.probe(kind, node.outside, nodeIp, { port })).ok;
        expect(await open("tcp", 8004)).toBe(family === "ipv4");
        expect(await open("tcp", 8006)).toBe(family === "ipv6");
        expect(await open("tcp", 8014)).toBe(family === "ipv4");
        expect(await open("udp", 8016)).toBe(family === "ipv6");
        expect(await open("udp", 8014)).toBe(false);
      });

      it("other addresses keep the port for themselves", async () => {
        await prober.serve(node.outside, 8000);
        const away = await prober.probe("tcp", other.netns, outside, { port: 8000 });
        expect(away).toMatchObject({ ok: true, seenAs: nodeIp });
        await prober.unserve(node.outside);
      });
    });

    describe("through the node's 127.0.0.1", () => {
      it.each(["tcp", "udp"] as const)("%s reaches the pod", async (kind) => {
        const loopback = await prober.probe(kind, node.netns, "127.0.0.1", { port: 8000 });
        expect(loopback).toMatchObject({ ok: true });
        expect(loopback.ok && loopback.seenAs).not.toMatch(/^127\./);
      });

      it("a port of another address, or of ::1, stays the node's", async () => {
        for (const [address, port] of [
          ["127.0.0.1", 8014],
          ["127.0.0.1", 8006],
          ["::1", 8000],
        ] as const) {
          const result = await prober.probe("tcp", node.netns, address, { port });
          expect(result, `${address} ${port}`).toEqual({ ok: false, error: "ECONNREFUSED" });
        }
      });

      it("no pod gets at what the node offers to itself", async () => {
        const attacker = await node.wiredPod({ runtimeConfig: { portMappings: [mapping(8099, "tcp")] } });
        await prober.serve(node.netns, 9090);
        // CVE-2020-8558: the pod sends packets for 127.0.0.1 to its gateway instead of keeping them.
        await setSysctls(attacker.netns, { "net/ipv4/conf/all/route_localnet": "1" });
        for (const command of [
          "address del 127.0.0.1/8 dev lo",
          "route add 127.0.0.1 via 169.254.1.1 dev eth0 onlink",
        ]) {
          expect(await execIn(attacker.netns, "ip", ...command.split(" "))).toMatchObject({ code: 0 });
        }
        const options = { port: 9090, timeoutMs: 300 };
        expect(await prober.probe("tcp", attacker.netns, "127.0.0.1", options)).toEqual({
          ok: false,
          error: "ETIMEDOUT",
        });
        expect(await prober.probe("tcp", node.netns, "127.0.0.1", options)).toMatchObject({ ok: true });
        await prober.unserve(node.netns);
        await node.removePod(attacker);
      });
    });

    // VPP's CNAT keeps a flow until it was silent for 30 s, whatever becomes of the port, and can't be told to forget one.
    if (dataplane === "linux") {
      it("a client that keeps its UDP source port follows the port to the next pod", async () => {
        const port = { runtimeConfig: { portMappings: [mapping(8077, "udp")] } };
        for (const family of ["ipv4", "ipv6"] as const) {
          const { node: nodeIp } = UNDERLAY[family];
          const send = () =>
            prober.probe("udp", node.outside, nodeIp, { port: 8077, sourcePort: 45077, timeoutMs: 500 });
          // From before there is a pod: a flow to the node itself, which nothing answers.
          expect(await send()).toMatchObject({ ok: false });
          for (let round = 0; round < 3; round++) {
            const next = await node.wiredPod(port);
            await prober.serve(next.netns, PORT);
            expect(await send(), `${family}, pod ${round}`).toMatchObject({ ok: true });
            await prober.unserve(next.netns);
            await node.removePod(next);
          }
        }
      });
    }

    it("one that another pod has is refused by name, and nothing is left of the ADD", async () => {
      const withPods = await node.snapshot();
      for (const [conflicting, words] of [
        [mapping(8000, "tcp"), "8000/tcp"],
        [mapping(8000, "udp", UNDERLAY.ipv4.node), "8000/udp"],
        [mapping(8014, "tcp"), "8014/tcp"],
      ] as const) {
        const answer = await (await node.pod()).call("ADD", { runtimeConfig: { portMappings: [conflicting] } });
        expect(answer).toMatchObject({
          exitCode: 1,
          error: { code: 7, details: expect.stringContaining(pod.containerId) },
        });
        expect(answer.error?.msg).toContain(words);
      }
      expect(await node.differencesTo(withPods)).toEqual([]);
    });

    it("go with the pod, and are free for the next one", async () => {
      expect(await pod.check()).toEqual(silent);
      await prober.unserve(pod.netns);
      await node.removePod(pod);
      expect(await prober.probe("tcp", node.outside, UNDERLAY.ipv4.node, { port: 8000 })).toMatchObject({ ok: false });
      const next = await node.pod();
      await prober.serve(next.netns, PORT);
      await next.add({ runtimeConfig: { portMappings: [mapping(8000, "tcp"), mapping(8000, "udp")] } });
      for (const kind of ["tcp", "udp"] as const) {
        const result = await prober.probe(kind, node.outside, UNDERLAY.ipv4.node, { port: 8000 });
        expect(result, kind).toMatchObject({ ok: true, seenAs: UNDERLAY.ipv4.outside });
      }
      await prober.unserve(next.netns);
      await node.removePod(next);
      await node.removePod(other);
      expect(await node.differencesTo(before)).toEqual([]);
    });
  });
}
