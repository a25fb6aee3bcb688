import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { report } from "../../support/restart-report.ts";
import { chiSquare, MOST_CHI_SQUARE } from "../../support/services/even.ts";
import { ServiceLab } from "../../support/services/service-lab.ts";

const FAMILIES = [4, 6] as const;
const CONNECTIONS = 10_000;

onEachDataplane("how services spread connections", (dataplane) => {
  let lab: ServiceLab;

  beforeAll(async () => {
    lab = await ServiceLab.up(dataplane, { a: "n1", b: "n1", c: "n2", d: "n2" });
  });
  afterEach(() => lab.clear());
  afterAll(() => lab?.[Symbol.asyncDispose]());

  const of = (...pods: readonly string[]) => pods.map((pod) => ({ pod }));

  it("evenly, by 10,000 connections of each family, also when endpoints have come", async () => {
    // Ports are not used again for a minute, and looked for one by one when half of them are.
    await lab.exec("a", "sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65535");
    const ips = await lab.make("even", {}, of("b", "c", "d"));
    const isEven = async (from: string, family: 4 | 6, count: number, endpoints: number): Promise<void> => {
      const shares = await lab.shares(from, ips[family], count);
      const text = `${from}, IPv${family}: ${JSON.stringify(shares)}`;
      report(`${dataplane}: connections of ${text}, chi-square ${chiSquare(shares).toFixed(1)}`);
      expect(Object.keys(shares), text).toHaveLength(endpoints);
      expect(chiSquare(shares), text).toBeLessThan(MOST_CHI_SQUARE[endpoints] ?? 0);
    };
    for (const family of FAMILIES) await isEven("a", family, CONNECTIONS, 3);
    await isEven("n1", 4, 2000, 3);
    for (const family of FAMILIES) lab.endpoints("even", family, of("a", "b", "c", "d"));
    await lab.settled();
    for (const family of FAMILIES) await isEven("a", family, 2000, 4);
  });

  it("with affinity a client keeps its endpoint, whichever address it uses, until it has not asked for the time", async () => {
    const seconds = 2;
    const spec = {
      sessionAffinity: "ClientIP",
      sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } },
      type: "NodePort",
      ports: [{ port: 80, nodePort: 30_102 }],
    };
    const ips = await lab.make("sticky", spec, of("b", "c", "d"));
    const clients = ["a", "b", "c", "d", "n1", "n2"];
    const ask = async (): Promise<Record<string, string>[]> =>
      Promise.all(FAMILIES.map((family) => lab.hits(clients, ips[family])));
    const first = await ask();
    for (const hit of first.flatMap((hits) => Object.values(hits))) expect(hit).toMatch(/^[bcd] saw /);
    // Longer than the time in all, but never silent for so long.
    for (let i = 0; i < 6; i++) {
      await delay((seconds * 1000) / 4);
      expect(await ask()).toEqual(first);
      for (const [at, family] of FAMILIES.entries()) {
        const port = { port: 30_102 };
        expect(await lab.hit("a", lab.ips("n1")[at] ?? "", port), `IPv${family}`).toBe(first[at]?.["a"]);
      }
    }
    await delay(seconds * 1000 + 300);
    const then = await ask();
    // On VPP pods' choice has no end.
    const ofPods = (all: readonly Record<string, string>[]) => all.map(({ a, b, c, d }) => ({ a, b, c, d }));
    if (dataplane === "vpp") expect(ofPods(then)).toEqual(ofPods(first));
    // Once in half a million times all twelve clients choose the same again.
    else expect(then).not.toEqual(first);
  });

  it("Maglev on request spreads connections, too", async () => {
    const annotations = { "heddle.dev/lb": "maglev" };
    const protocol = "UDP";
    const spec = { ports: [{ port: 80, protocol }] };
    const ips = await lab.make("maglev", spec, [{ pod: "c" }, { pod: "d" }], { annotations });
    const ask = async (port: number) => {
      const result = await lab.probe("a", ips[4], { kind: "udp", sourcePort: port });
      return result.ok ? lab.nameOf(result.answeredBy ?? "") : result.error;
    };
    const ports = Array.from({ length: 40 }, (_, i) => 42_000 + i);
    const first = await Promise.all(ports.map(ask));
    expect(new Set(first)).toEqual(new Set(["c", "d"]));
    const other = await Promise.all(
      ports.map(async (port) => {
        const result = await lab.probe("d", ips[4], { kind: "udp", sourcePort: port });
        return result.ok;
      }),
    );
    expect(other).not.toContain(false);
    lab.endpoints("maglev", 4, [{ pod: "b" }, { pod: "c" }, { pod: "d" }], [{ protocol }]);
    await lab.settled();
    // Each asks from another port, which is another connection.
    const then = await Promise.all(ports.map((port) => ask(port + 1000)));
    expect(new Set(then)).toEqual(new Set(["b", "c", "d"]));
  });
});
