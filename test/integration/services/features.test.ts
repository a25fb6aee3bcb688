import { setTimeout as delay } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { RecordedTxn } from "../../../src/kvscheduler/api/record.ts";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { whyNoNetns } from "../../support/lab/toy.ts";
import { sent } from "../../support/restart-lab.ts";
import { type EndpointSpec, ServiceLab, TARGET_PORT } from "../../support/services/service-lab.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";

const FAMILIES = [4, 6] as const;
const index = (family: 4 | 6): 0 | 1 => (family === 4 ? 0 : 1);
/** Of load balancers; the fabric leads them to the first node. */
const LB = { 4: "203.0.113.1", 6: "2001:db8:1::1" } as const;
const OUTSIDE = { 4: underlayPlan.outside.v4, 6: underlayPlan.outside.v6 } as const;
const HEALTH = 32_100;
const FLOW_PORT = 6100;

const whyNot = whyNoNetns();
describe.skipIf(whyNot !== undefined)(`what services promise, linux${whyNot ? ` (skipped: ${whyNot})` : ""}`, () => {
  let lab: ServiceLab;
  let next = 1;
  const nodeIp = (node: string, family: 4 | 6): string => lab.ips(node)[index(family)] ?? "";

  beforeAll(async () => {
    lab = await ServiceLab.up("linux", { a: "n1", b: "n1", c: "n2", d: "n2" });
    await lab.exec("fabric", "ip", "route", "add", LB[4], "via", nodeIp("n1", 4));
    await lab.exec("fabric", "ip", "route", "add", LB[6], "via", nodeIp("n1", 6));
  });
  // What a test that failed has left would claim addresses of the next one's.
  afterEach(() => lab.clear());
  afterAll(() => lab?.[Symbol.asyncDispose]());

  /** A service of both families for one test, with an address of each. */
  async function made(
    name: string,
    spec: Readonly<Record<string, unknown>>,
    endpoints: readonly EndpointSpec[],
    more: Parameters<ServiceLab["service"]>[2] = {},
  ): Promise<Readonly<Record<4 | 6, string>>> {
    const n = next++;
    const ips = { 4: `10.96.1.${n}`, 6: `fd00:96::1:${n.toString(16)}` };
    lab.service(name, { clusterIPs: Object.values(ips), ports: [{ port: 80 }], ...spec }, more);
    const { protocol = "TCP" } = (spec["ports"] as { protocol?: string }[] | undefined)?.[0] ?? {};
    for (const family of FAMILIES) lab.endpoints(name, family, endpoints, [{ protocol }]);
    await lab.settled();
    return ips;
  }

  it("what a service has of the node comes before a pod's host port, which is the pod's again when the service goes", async () => {
    const port = 30_200;
    const portMappings = ["tcp", "udp"].map((protocol) => ({ hostPort: port, containerPort: TARGET_PORT, protocol }));
    const { lab: nodes } = lab.nodes;
    await nodes.addPod("hp", "n1", { runtimeConfig: { portMappings } });
    await (await nodes.prober()).serve(nodes.netnsOf("hp"), TARGET_PORT);
    const clients = ["a", "d", "n1", "n2", "outside"];
    const hits = async (whose: RegExp, kind: "tcp" | "udp"): Promise<void> => {
      for (const family of FAMILIES) {
        for (const from of clients) await lab.soon(from, nodeIp("n1", family), whose, { port, kind });
      }
    };
    await hits(/^hp saw /, "tcp");
    await made("twice", { type: "NodePort", ports: [{ port: 80, nodePort: port }] }, [{ pod: "b" }]);
    await hits(/^b saw /, "tcp");
    // Of another protocol, and at an address where no node ports are, it is the pod's.
    await hits(/^hp saw /, "udp");
    await lab.soon("n1", "127.0.0.1", /^hp saw /, { port });
    const { problems, hostPorts } = await lab.status("n1");
    const of = problems.find(({ object }) => object.kind === "Pod");
    expect(of?.object).toMatchObject({ namespace: "default", name: "hp" });
    expect(of?.problems.map(({ code, message }) => `${code} ${message}`)).toEqual(
      FAMILIES.map((family) => {
        const ip = nodeIp("n1", family);
        return `TAKEN ${family === 4 ? ip : `[${ip}]`}:${port}/TCP is service default/twice's (NodePort)`;
      }),
    );
    expect(hostPorts).toBe(4);
    lab.delete("Service", "twice");
    await hits(/^hp saw /, "tcp");
    expect((await lab.status("n1")).problems.filter(({ object }) => object.kind === "Pod")).toEqual([]);
    await nodes.delPod("hp");
    expect((await lab.status("n1")).hostPorts).toBe(0);
  });

  it("without endpoints it refuses at once, as does a port that it does not have; an address that none has keeps silent", async () => {
    const ports = [
      { name: "t", port: 80, nodePort: 30_100 },
      { name: "u", protocol: "UDP", port: 80, nodePort: 30_100 },
    ];
    const status = { loadBalancer: { ingress: Object.values(LB).map((ip) => ({ ip })) } };
    const ips = await made("none", { type: "LoadBalancer", ports }, [], { status });
    for (const family of FAMILIES) {
      for (const from of ["a", "d", "n1"]) {
        for (const port of [80, 81]) {
          await lab.soon(from, ips[family], /^ECONNREFUSED$/, { port });
          // The node's own process is told so by the system call.
          const refusal = from === "n1" ? /^EPERM$/ : /^ECONNREFUSED$/;
          await lab.soon(from, ips[family], refusal, { port, kind: "udp" });
        }
      }
      for (const kind of ["tcp", "udp"] as const) {
        await lab.soon("outside", LB[family], /^ECONNREFUSED$/, { kind });
        await lab.soon("outside", nodeIp("n2", family), /^ECONNREFUSED$/, { kind, port: 30_100 });
      }
      const nobodys = family === 4 ? "10.96.200.200" : "fd00:96::200";
      for (const from of ["a", "n1"]) expect(await lab.hit(from, nobodys, { timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
    lab.delete("Service", "none");
  });

  it("with policy Local clients from outside are seen as they are, by what is on the node; its health is told", async () => {
    const spec = {
      type: "LoadBalancer",
      externalTrafficPolicy: "Local",
      healthCheckNodePort: HEALTH,
      ports: [{ port: 80, nodePort: 30_101 }],
    };
    const status = { loadBalancer: { ingress: Object.values(LB).map((ip) => ({ ip })) } };
    const ips = await made("local", spec, [{ pod: "b" }], { status });
    for (const family of FAMILIES) {
      expect(await lab.hit("outside", LB[family])).toBe("b saw outside");
      expect(await lab.hit("outside", nodeIp("n1", family), { port: 30_101 })).toBe("b saw outside");
      expect(await lab.hit("outside", nodeIp("n2", family), { port: 30_101, timeoutMs: 300 })).toBe("ETIMEDOUT");
      // Within the cluster all endpoints are meant.
      expect(await lab.hit("d", LB[family])).toBe("b saw d");
      expect(await lab.hit("n2", LB[family])).toBe("b saw n2");
      expect(await lab.hit("d", ips[family])).toBe("b saw d");
    }
    const prober = await lab.nodes.lab.prober();
    const ask = (node: string) => prober.get(lab.nodes.lab.netnsOf("outside"), `http://${nodeIp(node, 4)}:${HEALTH}/`);
    const service = { namespace: "default", name: "local" };
    const [here, there] = [await ask("n1"), await ask("n2")];
    expect([here.status, JSON.parse(here.body)]).toEqual([
      200,
      { service, localEndpoints: 1, serviceProxyHealthy: true },
    ]);
    expect([there.status, JSON.parse(there.body)]).toEqual([
      503,
      { service, localEndpoints: 0, serviceProxyHealthy: true },
    ]);
    lab.delete("Service", "local");
    await until("nobody answers", () =>
      ask("n1").then(
        () => false,
        () => true,
      ),
    );
  });

  it("the node answers /healthz and /livez as kube-proxy does", async () => {
    const prober = await lab.nodes.lab.prober();
    for (const path of ["healthz", "livez"]) {
      const url = `http://${nodeIp("n1", 4)}:10256/${path}`;
      expect((await prober.get(lab.nodes.lab.netnsOf("outside"), url)).status).toBe(200);
    }
  });

  it("a node that is about to be removed answers /healthz with 503 until it no longer is, and /livez with 200", async () => {
    const prober = await lab.nodes.lab.prober();
    const status = async (path: string): Promise<number> =>
      (await prober.get(lab.nodes.lab.netnsOf("outside"), `http://${nodeIp("n1", 4)}:10256/${path}`)).status;
    const addresses = lab.ips("n1").map((address) => ({ type: "InternalIP", address }));
    const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }];
    const node = { apiVersion: "v1", kind: "Node", metadata: { name: "n1" }, status: { addresses } };
    lab.apply({ ...node, spec: { taints } });
    await until("it refuses", async () => (await status("healthz")) === 503);
    expect(await status("livez")).toBe(200);
    lab.nodes.lab.manifests.putNode("n1", lab.ips("n1"));
    await until("it is well", async () => (await status("healthz")) === 200);
  });

  it("kubernetes.default: API servers on a node and outside, from pods and nodes, the API server's own among them", async () => {
    const ports = [{ name: "https", port: 443, protocol: "TCP" }];
    for (const server of ["n1", "outside"] as const) {
      const ips = await made("kubernetes", { ports }, []);
      for (const family of FAMILIES) {
        // As the API server writes it: no selector, no names of nodes.
        const address = server === "n1" ? nodeIp("n1", family) : OUTSIDE[family];
        lab.endpoints("kubernetes", family, [{ address }], [{ name: "https" }]);
      }
      await lab.settled();
      for (const family of FAMILIES) {
        for (const from of ["a", "d", "n1", "n2"]) {
          await lab.soon(from, ips[family], new RegExp(`^${server} saw `), { port: 443 });
          expect(await lab.hit(from, ips[family], { port: 443 })).toMatch(new RegExp(`^${server} saw `));
        }
      }
      lab.delete("Service", "kubernetes");
    }
  });

  it("with internal policy Local clients get what is on their node, or nothing", async () => {
    const ips = await made("inside", { internalTrafficPolicy: "Local" }, [{ pod: "b" }]);
    for (const family of FAMILIES) {
      expect(await lab.hit("a", ips[family])).toBe("b saw a");
      expect(await lab.hit("n1", ips[family])).toMatch(/^b saw n1$/);
      for (const from of ["d", "n2"]) expect(await lab.hit(from, ips[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
  });

  it("load balancers' source ranges keep others out", async () => {
    const status = { loadBalancer: { ingress: Object.values(LB).map((ip) => ({ ip })) } };
    const spec = { type: "LoadBalancer", loadBalancerSourceRanges: ["192.168.77.0/24", "fd77::/64"] };
    const ips = await made("ranges", spec, [{ pod: "c" }], { status });
    for (const family of FAMILIES) {
      expect(await lab.hit("outside", LB[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      expect(await lab.hit("a", LB[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      expect(await lab.hit("n1", LB[family])).toBe("c saw n1");
      expect(await lab.hit("a", ips[family])).toBe("c saw a");
    }
    lab.service("ranges", { clusterIPs: Object.values(ips), ports: [{ port: 80 }], type: "LoadBalancer" }, { status });
    await lab.soon("outside", LB[4], /^c saw n1$/);
    lab.delete("Service", "ranges");
  });

  it("endpoints of the host's network are reached from everywhere", async () => {
    for (const family of FAMILIES) {
      const n = next++;
      const ip = family === 4 ? `10.96.1.${n}` : `fd00:96::1:${n.toString(16)}`;
      lab.service(`host${family}`, { clusterIPs: [ip], ports: [{ port: 80 }] });
      lab.endpoints(`host${family}`, family, [{ address: nodeIp("n2", family), node: "n2" }]);
      await lab.settled();
      expect(await lab.hit("d", ip)).toBe("n2 saw d");
      // As all that leaves a node for another one's address.
      expect(await lab.hit("a", ip)).toBe("n2 saw n1");
      for (const node of ["n1", "n2"]) expect(await lab.hit(node, ip)).toBe(`n2 saw ${node}`);
    }
  });

  it("connections are spread evenly, also when endpoints come and go", async () => {
    const ips = await made("even", {}, [{ pod: "b" }, { pod: "c" }, { pod: "d" }]);
    expect(await chiSquare("a", ips[4], 3000)).toBeLessThan(CHI_SQUARE[2]);
    lab.endpoints("even", 4, [{ pod: "b" }, { pod: "c" }]);
    await lab.settled();
    expect(await chiSquare("a", ips[4], 1000)).toBeLessThan(CHI_SQUARE[1]);
    const all = ["a", "b", "c", "d"].map((pod) => ({ pod }));
    lab.endpoints("even", 4, all);
    await lab.settled();
    expect(await chiSquare("n1", ips[4], 1500)).toBeLessThan(CHI_SQUARE[3]);
  });

  /** Of 10,000 tries that are even one is beyond it: by degrees of freedom. */
  const CHI_SQUARE = { 1: 15.2, 2: 18.5, 3: 21.2 } as const;

  async function chiSquare(from: string, to: string, count: number): Promise<number> {
    const seen = new Map<string, number>();
    for (let i = 0; i < count; i += 100) {
      const hits = await Promise.all(Array.from({ length: 100 }, () => lab.probe(from, to)));
      for (const hit of hits) {
        const who = hit.ok ? (hit.answeredBy ?? "") : hit.error;
        seen.set(who, (seen.get(who) ?? 0) + 1);
      }
    }
    expect([...seen.keys()].filter((who) => !/^\d/.test(who))).toEqual([]);
    const even = count / seen.size;
    return [...seen.values()].reduce((sum, n) => sum + (n - even) ** 2 / even, 0);
  }

  it("with affinity a client keeps its endpoint, whichever address it uses, until it has not asked for the time", async () => {
    const seconds = 2;
    const spec = {
      sessionAffinity: "ClientIP",
      sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } },
      type: "NodePort",
      ports: [{ port: 80, nodePort: 30_102 }],
    };
    const ips = await made("sticky", spec, [{ pod: "b" }, { pod: "c" }, { pod: "d" }]);
    for (const family of FAMILIES) {
      const first = await lab.hit("a", ips[family]);
      expect(first).toMatch(/^[bcd] saw a$/);
      for (let i = 0; i < 12; i++) {
        expect(await lab.hit("a", ips[family])).toBe(first);
        expect(await lab.hit("a", nodeIp("n1", family), { port: 30_102 })).toBe(first);
        await delay(60);
      }
    }
    const seen = new Set<string>();
    await until("another endpoint after a while of silence", async () => {
      await delay(seconds * 1000 + 300);
      seen.add(await lab.hit("a", ips[4]));
      return seen.size > 1;
    });
  });

  it("Maglev on request spreads connections, too", async () => {
    const annotations = { "heddle.dev/lb": "maglev" };
    const protocol = "UDP";
    const spec = { ports: [{ port: 80, protocol }] };
    const ips = await made("maglev", spec, [{ pod: "c" }, { pod: "d" }], { annotations });
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

  it("datagrams of a client that always uses one port go elsewhere when their endpoint is gone, or the service", async () => {
    const ports = [{ port: 80, protocol: "UDP", nodePort: 30_103 }];
    const targets = [{ protocol: "UDP" }];
    const ips = await made("dns", { type: "NodePort", ports }, []);
    for (const family of FAMILIES) {
      const other = { 4: 6, 6: 4 }[family] as 4 | 6;
      lab.endpoints("dns", other, [], targets);
      lab.endpoints("dns", family, [{ pod: "c" }], targets);
      const ask = (at: "cluster" | "node") => {
        const to = at === "cluster" ? ips[family] : nodeIp("n1", family);
        const from = at === "cluster" ? "a" : "outside";
        return lab.hit(from, to, {
          kind: "udp",
          port: at === "cluster" ? 80 : 30_103,
          sourcePort: 41_000,
          timeoutMs: 100,
        });
      };
      await until("c answers", async () => (await ask("cluster")) === "c saw a" && (await ask("node")) === "c saw n1");
      lab.endpoints("dns", family, [{ pod: "b" }], targets);
      await until("b answers", async () => (await ask("cluster")) === "b saw a" && (await ask("node")) === "b saw n1");
      lab.endpoints("dns", family, [], targets);
      await until("it refuses", async () => (await ask("cluster")) === "ECONNREFUSED");
    }
    lab.endpoints("dns", 4, [{ pod: "c" }], targets);
    const ask = () => lab.hit("a", ips[4], { kind: "udp", sourcePort: 41_001, timeoutMs: 100 });
    await until("c answers", async () => (await ask()) === "c saw a");
    lab.delete("Service", "dns");
    await until("nobody answers", async () => (await ask()) === "ETIMEDOUT");
  });

  it("connections outlive the endpoints beside theirs, the drain of their own, and the agent; new ones go to who is ready", async () => {
    const at = { port: 80, name: "" };
    const targets = [{ port: FLOW_PORT }];
    const ips = await made("long", { ports: [at] }, []);
    const has = async (...endpoints: readonly EndpointSpec[]) => {
      for (const family of FAMILIES) lab.endpoints("long", family, endpoints, targets);
      await lab.settled();
    };
    await has({ pod: "c" });
    const [a, c] = [lab.pod("a").netns, lab.pod("c").netns];
    await using four = await Flow.through(a, c, { address: ips[4], port: 80 }, FLOW_PORT);
    const carry = async () => {
      await four.carries();
      expect(four.errors).toEqual([]);
    };
    await has({ pod: "b" }, { pod: "c" }, { pod: "d" });
    await carry();
    await has({ pod: "c" });
    await carry();
    const prober = await lab.nodes.lab.prober();
    await prober.serve(lab.pod("d").netns, FLOW_PORT);
    await has({ pod: "d" }, { pod: "c", ready: false, serving: true, terminating: true });
    await carry();
    for (let i = 0; i < 8; i++) expect(await lab.hit("a", ips[4])).toBe("d saw a");
    const since = Date.now();
    await lab.nodes.lab.restart("n1");
    await carry();
    expect(await lab.hit("a", ips[4])).toBe("d saw a");
    const history = await lab.nodes.get<RecordedTxn[]>("n1", `/scheduler/history?since=${since}`);
    expect(sent(history).map(({ op, key }) => `${op} ${key}`)).toEqual([]);
  });

  it("endpoints come, drain and go under a load of new connections, and none of those fails", async () => {
    const ips = await made("rolling", {}, [{ pod: "b" }]);
    const failed: string[] = [];
    let tried = 0;
    let isOver = false;
    const load = async (from: string, to: string) => {
      while (!isOver) {
        const result = await lab.probe(from, to, { timeoutMs: 3000 });
        tried++;
        if (!result.ok) failed.push(result.error);
      }
    };
    const clients = ["a", "d", "n1"].flatMap((from) => FAMILIES.map((family) => load(from, ips[family])));
    const going = { ready: false, serving: true, terminating: true } as const;
    for (let round = 0; round < 4; round++) {
      for (const [leaving, coming] of [
        ["b", "c"],
        ["c", "d"],
        ["d", "b"],
      ] as const) {
        for (const endpoints of [
          [{ pod: leaving }, { pod: coming }],
          [{ pod: leaving, ...going }, { pod: coming }],
          [{ pod: coming }],
        ]) {
          for (const family of FAMILIES) lab.endpoints("rolling", family, endpoints);
          await lab.settled();
        }
      }
    }
    isOver = true;
    await Promise.all(clients);
    expect(failed).toEqual([]);
    expect(tried).toBeGreaterThan(500);
  });

  it("an agent that was killed in the middle of changes ends where the objects are", async () => {
    const ips = await made("killed", {}, [{ pod: "b" }]);
    for (const [i, pod] of ["c", "d", "b", "c"].entries()) {
      lab.endpoints("killed", 4, [{ pod }]);
      await delay(7 * i);
      await lab.nodes.lab.restart("n1");
      await lab.soon("a", ips[4], new RegExp(`^${pod} saw a$`));
    }
  });

  it("policies judge endpoints and clients as they are, behind cluster IPs, node ports and a pod's way to itself", async () => {
    const spec = { type: "NodePort", ports: [{ port: 80, nodePort: 30_104 }] };
    const ips = await made("judged", spec, [{ pod: "c" }]);
    lab.apply({
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "only-a", namespace: "default" },
      spec: {
        podSelector: { matchLabels: { app: "c" } },
        policyTypes: ["Ingress", "Egress"],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "a" } } }] }],
      },
    });
    await lab.soon("d", ips[4], /ETIMEDOUT/, { timeoutMs: 200 });
    for (const family of FAMILIES) {
      expect(await lab.hit("a", ips[family])).toBe("c saw a");
      expect(await lab.hit("d", ips[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      expect(await lab.hit("b", ips[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      // Itself, though it may begin nothing.
      expect(await lab.hit("c", ips[family])).toBe("c saw n2");
      expect(await lab.hit("n2", ips[family])).toBe("c saw n2");
      expect(await lab.hit("outside", nodeIp("n2", family), { port: 30_104, timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
    lab.nodes.lab.manifests.delete(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: only-a, namespace: default }\n",
    );
  });
});
