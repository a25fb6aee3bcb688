import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { whyNoNetns } from "../../support/lab/toy.ts";
import { ServiceLab } from "../../support/services/service-lab.ts";

const KINDS = ["tcp", "udp"] as const;
const FAMILIES = [4, 6] as const;
const PORTS = [
  { name: "t", protocol: "TCP", port: 80, nodePort: 30_080 },
  { name: "u", protocol: "UDP", port: 80, nodePort: 30_080 },
  { name: "s", protocol: "SCTP", port: 80, nodePort: 30_080 },
];
const TARGETS = PORTS.map(({ name, protocol }) => ({ name, protocol }));
const WEB = { 4: "10.96.0.1", 6: "fd00:96::1" } as const;
/** Of load balancers, and external ones; the fabric leads them to the first node. */
const LB = { 4: "203.0.113.1", 6: "2001:db8:1::1" } as const;
const LOCAL_LB = { 4: "203.0.113.2", 6: "2001:db8:1::2" } as const;
const EXTERNAL = { 4: "203.0.113.3", 6: "2001:db8:1::3" } as const;

const whyNot = whyNoNetns();
describe.skipIf(whyNot !== undefined)(`services, linux${whyNot ? ` (skipped: ${whyNot})` : ""}`, () => {
  let lab: ServiceLab;
  const family = (of: 4 | 6) => (of === 4 ? 0 : 1);
  const nodeIp = (node: string, of: 4 | 6): string => lab.ips(node)[family(of)] ?? "";

  beforeAll(async () => {
    lab = await ServiceLab.up("linux", { a: "n1", b: "n1", c: "n2", d: "n2" });
    for (const { 4: v4, 6: v6 } of [LB, LOCAL_LB, EXTERNAL]) {
      await lab.exec("fabric", "ip", "route", "add", v4, "via", nodeIp("n1", 4));
      await lab.exec("fabric", "ip", "route", "add", v6, "via", nodeIp("n1", 6));
    }
    lab.service(
      "web",
      {
        type: "LoadBalancer",
        clusterIPs: Object.values(WEB),
        ports: PORTS,
        externalIPs: Object.values(EXTERNAL),
      },
      { status: { loadBalancer: { ingress: Object.values(LB).map((ip) => ({ ip })) } } },
    );
    for (const of of FAMILIES) lab.endpoints("web", of, [{ pod: "c" }], TARGETS);
    await Promise.all(["n1", "n2"].map((node) => lab.soon(node, WEB[6], /^c saw/)));
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("a cluster IP is reached from pods, which are seen as they are, and from nodes", async () => {
    for (const of of FAMILIES) {
      for (const kind of KINDS) {
        const hit = (from: string) => lab.hit(from, WEB[of], { kind });
        expect(await hit("a"), `${kind} ${of}`).toBe("c saw a");
        expect(await hit("d"), `${kind} ${of}`).toBe("c saw d");
        expect(await hit("n1"), `${kind} ${of}`).toBe("c saw n1");
        expect(await hit("n2"), `${kind} ${of}`).toBe("c saw n2");
      }
      for (const from of ["a", "d", "n1", "n2"]) {
        expect(await lab.probe(from, WEB[of], { kind: "sctp" }), `${from} ${of}`).toMatchObject({ ok: true });
      }
    }
  });

  it("a pod that reaches itself sees another's address", async () => {
    for (const of of FAMILIES) {
      for (const kind of KINDS) expect(await lab.hit("c", WEB[of], { kind }), `${kind} ${of}`).toBe("c saw n2");
    }
  });

  it("node ports, the load balancer's address and external ones are reached from everywhere", async () => {
    for (const of of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "d", "n1", "n2", "outside"]) {
          const seen = from === "outside" ? "n1" : from;
          for (const to of [LB[of], EXTERNAL[of]]) {
            // The other node translates by itself, for its own pods and processes.
            expect(await lab.hit(from, to, { kind }), `${from} ${to} ${kind}`).toBe(`c saw ${seen}`);
          }
          const port = { kind, port: 30_080 };
          const at = nodeIp("n1", of);
          const seenAtPort = { a: "a", d: "n1", n1: "n1", n2: "n1", outside: "n1" }[from];
          expect(await lab.hit(from, at, port), `${from} ${at} ${kind}`).toBe(`c saw ${seenAtPort}`);
        }
      }
      const sctp = await lab.probe("outside", nodeIp("n2", of), { kind: "sctp", port: 30_080 });
      expect(sctp, `sctp ${of}`).toMatchObject({ ok: true });
    }
  });
});
