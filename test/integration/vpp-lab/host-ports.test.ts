import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { ECHO_PORT, type Prober } from "../../../src/lab/probe/client.ts";
import { until } from "../../support/until.ts";
import { noVppLab, VppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const PORT = 8080;
const ports = ["tcp", "udp"].map((protocol) => ({ hostPort: PORT, containerPort: ECHO_PORT, protocol }));

/** Who reaches the port of a pod on the node with VPP, and the address that the pod sees; undefined where that may be another. */
const CLIENTS: readonly (readonly [who: string, target: string, sees: "its own" | undefined])[] = [
  ["a host outside the cluster", "outside", "its own"],
  ["another node", "n1", undefined],
  ["a pod of another node", "p/far", undefined],
  ["a pod of the node", "p/near", "its own"],
  ["the node itself", "n2", undefined],
];

describe.skipIf(noVppLab)(`a node with VPP beside one with Linux${vppLabNote}`, () => {
  let lab: VppLab;
  let prober: Prober;
  const index = (family: "ipv4" | "ipv6") => (family === "ipv4" ? 0 : 1);
  const own = (target: string, family: "ipv4" | "ipv6") =>
    target === "outside"
      ? underlayPlan.outside[family === "ipv4" ? "v4" : "v6"]
      : lab.lab.pod(target).ips[index(family)];

  beforeAll(async () => {
    lab = await VppLab.up({ nodes: 2, dataplane: "mixed" });
    prober = await lab.lab.prober();
    await lab.lab.addPod("p/server", "n2", { runtimeConfig: { portMappings: ports } });
    await lab.lab.addPod("p/near", "n2");
    await lab.lab.addPod("p/far", "n1");
    await until(
      "all reach each other",
      async () => (await lab.unreachable(["p/server", "p/near", "p/far"])).length === 0,
    );
    for (const pod of ["p/server", "n1", "outside"]) await prober.serve(lab.lab.netnsOf(pod));
  });
  afterAll(() => lab?.close());

  describe.each(["ipv4", "ipv6"] as const)("over %s", (family) => {
    describe.each(["tcp", "udp"] as const)("%s", (kind) => {
      it.each(CLIENTS)("%s reaches a port of the node that leads to a pod", async (_who, target, sees) => {
        const nodeIp = lab.lab.node("n2").underlay[index(family)] ?? "";
        // The first packets may be those that make VPP ask for a neighbour.
        const result = await until(
          `${target} is answered`,
          async () => {
            const one = await prober.probe(kind, lab.lab.netnsOf(target), nodeIp, { port: PORT });
            return one.ok && one;
          },
          5000,
        );
        if (sees !== undefined) expect(result.seenAs).toBe(own(target, family));
      });

      it("the host reaches its pods, other nodes and what is outside", async () => {
        const far = [lab.lab.pod("p/server").ips, lab.lab.node("n1").underlay, Object.values(underlayPlan.outside)];
        for (const address of far.map((ips) => ips[index(family)] ?? "")) {
          expect(await prober.probe(kind, lab.lab.netnsOf("n2"), address), address).toMatchObject({ ok: true });
        }
      });
    });
  });

  it("goes with the pod", async () => {
    await prober.unserve(lab.lab.netnsOf("p/server"));
    await lab.lab.delPod("p/server");
    for (const [_who, target] of CLIENTS) {
      const options = { port: PORT, timeoutMs: 300 };
      const nodeIp = lab.lab.node("n2").underlay[0] ?? "";
      expect(await prober.probe("tcp", lab.lab.netnsOf(target), nodeIp, options), target).toMatchObject({ ok: false });
    }
  });
});
