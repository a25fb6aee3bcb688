import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { sent } from "../../support/restart-lab.ts";
import { type EndpointSpec, ServiceLab, type Spec, TARGET_PORT } from "../../support/services/service-lab.ts";
import { until } from "../../support/until.ts";
import { Flow } from "../../support/vpp/flow.ts";
import { noVppLab, vppLabNote } from "../../support/vpp/vpp-lab.ts";

const KINDS = ["tcp", "udp"] as const;
const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
type Addresses = Readonly<Record<Family, string>>;
const index = (family: Family): 0 | 1 => (family === 4 ? 0 : 1);
const portsAt = (nodePort?: number) =>
  (["TCP", "UDP"] as const).map((protocol) => ({
    ...{ name: protocol.toLowerCase(), protocol, port: 80 },
    ...(nodePort === undefined ? {} : { nodePort }),
  }));
const TARGETS = portsAt().map(({ name, protocol }) => ({ name, protocol }));
const clusterIps = (n: number): Addresses => ({ 4: `10.96.0.${n}`, 6: `fd00:96::${n.toString(16)}` });
/** Of load balancers; the fabric leads them to the first node. */
const balanced = (n: number): Addresses => ({ 4: `203.0.113.${n}`, 6: `2001:db8:1::${n}` });
const OUTSIDE = { 4: underlayPlan.outside.v4, 6: underlayPlan.outside.v6 } as const;
const FLOW_PORT = 6100;

type More = Spec & { readonly lb?: Addresses; readonly nodePort?: number };

/** A service of both families with all its ports, and its endpoints: pods, or nodes themselves. */
async function serve(lab: ServiceLab, name: string, n: number, endpoints: readonly EndpointSpec[], more: More = {}) {
  const { lb, nodePort, ...spec } = more;
  const status = lb ? { loadBalancer: { ingress: Object.values(lb).map((ip) => ({ ip })) } } : {};
  const type = lb ? "LoadBalancer" : nodePort === undefined ? "ClusterIP" : "NodePort";
  lab.service(name, { type, clusterIPs: Object.values(clusterIps(n)), ports: portsAt(nodePort), ...spec }, { status });
  for (const family of FAMILIES) {
    const own = endpoints.map((e) => (e.node ? { ...e, address: lab.ips(e.node)[index(family)] ?? "" } : e));
    lab.endpoints(name, family, own, TARGETS);
    if (lb) await lab.exec("fabric", "ip", "route", "replace", lb[family], "via", lab.ips("n1")[index(family)] ?? "");
  }
  await lab.settled();
  return clusterIps(n);
}

/** Where the service is that most are about. */
const WEB = clusterIps(1);
const LB = balanced(1);

/** VPP asks for a neighbour with the first packet that it has for it, which is lost. */
async function meet(lab: ServiceLab): Promise<void> {
  for (const from of ["n1", "n2", "a", "c"]) {
    for (const to of ["n1", "n2"]) for (const ip of lab.ips(to)) await lab.probe(from, ip, { port: 7000 });
  }
}

describe.skipIf(noVppLab)(`services on two nodes with VPP${vppLabNote}`, () => {
  let lab: ServiceLab;
  const nodeIp = (node: string, family: Family): string => lab.ips(node)[index(family)] ?? "";

  beforeAll(async () => {
    lab = await ServiceLab.up("vpp", { a: "n1", b: "n1", c: "n2", d: "n2" });
    await meet(lab);
    await serve(lab, "web", 1, [{ pod: "c" }], { lb: LB, nodePort: 30_080 });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("a cluster IP is reached from pods, which are seen as they are, and from nodes", async () => {
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "d", "n1", "n2"]) {
          expect(await lab.hit(from, WEB[family], { kind }), `${from} ${kind} ${family}`).toBe(`c saw ${from}`);
        }
      }
    }
  });

  it("what a service has of the node comes before a pod's host port, which is the pod's again when the service goes", async () => {
    const port = 30_200;
    const portMappings = [{ hostPort: port, containerPort: TARGET_PORT, protocol: "tcp" }];
    const { lab: nodes } = lab.nodes;
    await nodes.addPod("hp", "n1", { runtimeConfig: { portMappings } });
    await (await nodes.prober()).serve(nodes.netnsOf("hp"), TARGET_PORT);
    const hits = async (whose: RegExp): Promise<void> => {
      for (const family of FAMILIES) {
        for (const from of ["a", "d", "n1", "n2", "outside", "hp"]) {
          await lab.soon(from, nodeIp("n1", family), whose, { port });
        }
      }
    };
    await hits(/^hp saw /);
    await serve(lab, "twice", 9, [{ pod: "b" }], { nodePort: port });
    await hits(/^b saw /);
    const { problems } = await lab.status("n1");
    const of = problems.find(({ object }) => object.kind === "Pod");
    expect(of?.problems.map(({ code }) => code)).toEqual(["TAKEN", "TAKEN"]);
    lab.delete("Service", "twice");
    await hits(/^hp saw /);
    await nodes.delPod("hp");
    await lab.soon("a", nodeIp("n1", 4), /^E(CONNREFUSED|TIMEDOUT)$/, { port });
  });

  it("a pod that reaches itself sees another's address", async () => {
    const own = { 4: "10.244.2.0", 6: "fd10:244:0:2::" } as const;
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        expect(await lab.hit("c", WEB[family], { kind }), `${kind} ${family}`).toBe(`c saw ${own[family]}`);
      }
    }
  });

  it("node ports and the load balancer's address lead everybody there; who comes from outside is seen as is where the pod is", async () => {
    const other = { 4: "10.244.1.0", 6: "fd10:244:0:1::" } as const;
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "d", "n1", "n2", "outside"]) {
          const at = `${from} ${kind} ${family}`;
          const byAddress = await lab.hit(from, LB[family], { kind });
          expect(byAddress, at).toBe(`c saw ${from === "outside" ? other[family] : from}`);
          const port = { kind, port: 30_080 };
          expect(await lab.hit(from, nodeIp("n2", family), port), at).toBe(`c saw ${from === "a" ? "n1" : from}`);
          const seen = { a: "a", d: "n2", n1: "n1", n2: "n2", outside: other[family] }[from] ?? "";
          // From another node, and its pods, it is the outside that asks.
          const expected = from === "d" || from === "n2" ? `c saw ${other[family]}` : `c saw ${seen}`;
          expect(await lab.hit(from, nodeIp("n1", family), port), at).toBe(expected);
        }
      }
    }
  });

  it("without endpoints, and at unused ports, it refuses at once; addresses that no service has keep silent", async () => {
    const none = await serve(lab, "none", 2, [], { nodePort: 30_081 });
    for (const family of FAMILIES) {
      const refusal = family === 4 ? "EHOSTUNREACH" : "ENETUNREACH";
      for (const [ip, port] of [
        [none[family], 80],
        [WEB[family], 81],
      ] as const) {
        // VPP tells a host once in a while only.
        await lab.soon("a", ip, new RegExp(refusal), { port });
        expect(await lab.hit("n1", ip, { port })).toBe("ECONNREFUSED");
      }
      expect(await lab.hit("outside", nodeIp("n1", family), { port: 30_081 })).toBe("ECONNREFUSED");
      for (const from of ["a", "n1"]) {
        expect(await lab.hit(from, clusterIps(99)[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      }
    }
  });

  it("with policy Local clients from outside are seen as they are; elsewhere they get nothing", async () => {
    const lb = balanced(3);
    await serve(lab, "local", 3, [{ pod: "b" }], { lb, nodePort: 30_082, externalTrafficPolicy: "Local" });
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        expect(await lab.hit("outside", lb[family], { kind })).toBe("b saw outside");
        expect(await lab.hit("outside", nodeIp("n1", family), { kind, port: 30_082 })).toBe("b saw outside");
      }
      const elsewhere = { port: 30_082, timeoutMs: 200 };
      expect(await lab.hit("outside", nodeIp("n2", family), elsewhere)).toBe("ETIMEDOUT");
      // Pods are served there nevertheless, and so is the node itself.
      expect(await lab.hit("d", nodeIp("n2", family), { port: 30_082 })).toBe("b saw d");
      expect(await lab.hit("d", lb[family])).toBe("b saw d");
      expect(await lab.hit("n2", lb[family])).toBe("b saw n2");
    }
  });

  it("source ranges are the host's to judge, for clients from outside", async () => {
    const lb = balanced(4);
    const [v4, v6] = ["198.51.100.0/24", "2001:db8:77::/64"];
    const ips = await serve(lab, "ranged", 4, [{ pod: "b" }], {
      ...{ lb, nodePort: 30_083, loadBalancerSourceRanges: [v4, "2001:db8:78::/64"] },
    });
    // Which policy Local leads there as well.
    expect(await lab.hit("outside", lb[4])).toBe("b saw outside");
    expect(await lab.hit("outside", balanced(3)[4])).toBe("b saw outside");
    expect(await lab.hit("outside", lb[6], { timeoutMs: 200 })).toBe("ETIMEDOUT");
    await serve(lab, "ranged", 4, [{ pod: "d" }], {
      lb,
      nodePort: 30_083,
      loadBalancerSourceRanges: [v6, "192.0.2.0/24"],
    });
    await lab.soon("outside", lb[6], /^d saw n1$/);
    expect(await lab.hit("outside", lb[4], { timeoutMs: 200 })).toBe("ETIMEDOUT");
    for (const family of FAMILIES) {
      expect(await lab.hit("a", lb[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      expect(await lab.hit("a", ips[family])).toBe("d saw a");
    }
  });

  it("SCTP, over IPv6 for the node's own processes and for the outside", async () => {
    const ips = clusterIps(5);
    const port = { name: "s", protocol: "SCTP", port: 80, nodePort: 30_084 };
    lab.service("sctp", { type: "NodePort", clusterIPs: Object.values(ips), ports: [port] });
    for (const family of FAMILIES) {
      lab.endpoints("sctp", family, [{ pod: "b" }], [{ name: "s", protocol: "SCTP" }]);
    }
    await lab.settled();
    const of = (from: string, to: string, at = 80) => lab.probe(from, to, { kind: "sctp", port: at, timeoutMs: 400 });
    for (const from of ["a", "c", "n1"]) expect(await of(from, ips[4]), from).toMatchObject({ ok: true });
    for (const from of ["n1", "n2"]) expect(await of(from, ips[6]), from).toMatchObject({ ok: true });
    for (const family of FAMILIES) {
      expect(await of("outside", nodeIp("n1", family), 30_084)).toMatchObject({ ok: true });
    }
    expect(await of("a", ips[6])).toMatchObject({ ok: false });
  });

  it("endpoints of the host's network are reached from everywhere", async () => {
    const ips = await serve(lab, "host", 6, [{ node: "n1" }], { nodePort: 30_085 });
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        // What goes to another node's own address leaves the cluster's network.
        for (const [from, seen] of Object.entries({ a: "a", d: "n2", n1: "n1", n2: "n2" })) {
          expect(await lab.hit(from, ips[family], { kind }), `${from} ${kind} ${family}`).toBe(`n1 saw ${seen}`);
        }
        const port = { kind, port: 30_085 };
        expect(await lab.hit("outside", nodeIp("n1", family), port)).toBe("n1 saw outside");
        expect(await lab.hit("outside", nodeIp("n2", family), port)).toBe("n1 saw n2");
      }
    }
  });

  it("kubernetes.default: API servers on a node and outside, from pods and nodes, the API server's own among them", async () => {
    const ips = clusterIps(41);
    const ports = [{ name: "https", protocol: "TCP", port: 443 }];
    lab.service("kubernetes", { type: "ClusterIP", clusterIPs: Object.values(ips), ports });
    for (const server of ["n1", "outside"] as const) {
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
    }
    lab.delete("Service", "kubernetes");
  });

  it("connections are spread evenly, also when endpoints come and go; with affinity a client keeps its own", async () => {
    const count = async (from: string, ip: string, wanted: readonly string[]): Promise<void> => {
      const hits = await Promise.all(Array.from({ length: 240 }, () => lab.hit(from, ip, { timeoutMs: 2000 })));
      const counts = wanted.map((pod) => hits.filter((hit) => hit.startsWith(`${pod} saw `)).length);
      expect(counts.reduce((x, y) => x + y)).toBe(hits.length);
      const expected = hits.length / wanted.length;
      const chiSquare = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
      // Three degrees of freedom at most: exceeded once in ten thousand times.
      expect(chiSquare, counts.join()).toBeLessThan(21.1);
    };
    const of = (...pods: string[]) => pods.map((pod) => ({ pod }));
    const ips = await serve(lab, "even", 7, of("b", "c", "d"));
    for (const family of FAMILIES) await count("a", ips[family], ["b", "c", "d"]);
    await serve(lab, "even", 7, of("b", "d"));
    await lab.soon("a", ips[4], /saw a/);
    await count("a", ips[4], ["b", "d"]);

    const sticky = await serve(lab, "sticky", 8, of("a", "b", "c", "d"), { sessionAffinity: "ClientIP" });
    for (const family of FAMILIES) {
      for (const from of ["a", "c", "n1"]) {
        const hits = await Promise.all(Array.from({ length: 12 }, () => lab.hit(from, sticky[family])));
        expect(new Set(hits).size, hits.join()).toBe(1);
      }
    }
  });

  it("connections to endpoints that remain go on; new ones get those that are there", async () => {
    const ips = clusterIps(9);
    const ports = [{ port: FLOW_PORT }];
    lab.service("flows", { clusterIPs: Object.values(ips), ports });
    const endpoints = (pods: readonly string[]) => {
      for (const family of FAMILIES) {
        lab.apply({
          apiVersion: "discovery.k8s.io/v1",
          kind: "EndpointSlice",
          metadata: { name: `flows-${family}`, labels: { "kubernetes.io/service-name": "flows" } },
          addressType: `IPv${family}`,
          ports: [{ name: "", protocol: "TCP", port: FLOW_PORT }],
          endpoints: pods.map((pod) => ({
            addresses: [lab.ips(pod)[index(family)]],
            nodeName: lab.pod(pod).node,
            conditions: { ready: true },
          })),
        });
      }
    };
    endpoints(["c"]);
    await delay(1000);
    const netns = (of: string) => lab.nodes.lab.netnsOf(of);
    const flows: Flow[] = [];
    try {
      flows.push(await Flow.through(netns("a"), netns("c"), { address: ips[4], port: FLOW_PORT }, FLOW_PORT));
      endpoints(["b", "c", "d"]);
      await delay(500);
      endpoints(["c", "d"]);
      await delay(500);
      for (const flow of flows) await flow.carries();
      // VPP looks after what has gone every few seconds.
      await delay(4000);
      for (const flow of flows) await flow.carries();
    } finally {
      for (const flow of flows) await flow[Symbol.asyncDispose]();
    }
  });

  it("policies judge endpoints and clients as they are, behind cluster IPs, node ports and a pod's way to itself", async () => {
    const policy = {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata: { name: "only-d", namespace: "default" },
      spec: {
        podSelector: { matchLabels: { app: "c" } },
        policyTypes: ["Ingress"],
        ingress: [{ from: [{ podSelector: { matchLabels: { app: "d" } } }] }],
      },
    };
    lab.apply(policy);
    await until("it is in force", async () => (await lab.hit("a", WEB[4], { timeoutMs: 300 })) === "ETIMEDOUT");
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        const hit = (from: string, to: string, port = 80) => lab.hit(from, to, { kind, port, timeoutMs: 300 });
        expect(await hit("d", WEB[family])).toBe("c saw d");
        expect(await hit("d", nodeIp("n2", family), 30_080)).toBe("c saw d");
        expect(await hit("c", WEB[family])).toMatch(/^c saw /);
        expect(await hit("n2", WEB[family])).toBe("c saw n2");
        expect(await hit("a", WEB[family])).toBe("ETIMEDOUT");
        expect(await hit("outside", LB[family])).toBe("ETIMEDOUT");
        expect(await hit("outside", nodeIp("n2", family), 30_080)).toBe("ETIMEDOUT");
      }
    }
    lab.nodes.lab.manifests.delete(JSON.stringify(policy));
    await until("it is gone", async () => (await lab.hit("a", WEB[4], { timeoutMs: 300 })) === "c saw a");
  });

  it("an agent that was killed sends nothing when it is back; a VPP that was has all of it again", async () => {
    const since = Date.now();
    await lab.nodes.lab.restart("n1", "agent");
    const history = await lab.nodes.history("n1", since);
    expect(history[0]).toMatchObject({ resync: "full" });
    expect(sent(history)).toEqual([]);
    await lab.nodes.lab.restart("n1", "vpp");
    for (const family of FAMILIES) {
      await lab.soon("a", WEB[family], /^c saw a$/, { timeoutMs: 200 });
      await lab.soon("n1", WEB[family], /^c saw n1$/, { timeoutMs: 200 });
      await lab.soon("outside", LB[family], /^c saw /, { timeoutMs: 200 });
    }
  });
});

describe.skipIf(noVppLab)(`services on VPP without an overlay${vppLabNote}`, () => {
  let lab: ServiceLab;
  beforeAll(async () => {
    lab = await ServiceLab.up("vpp", { a: "n1", b: "n1", c: "n2", d: "n2" }, "none");
    await meet(lab);
    await serve(lab, "web", 1, [{ pod: "c" }], { lb: LB, nodePort: 30_080 });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("a host port leads everybody to its pod, which sees who comes from pods of the node and from outside", async () => {
    const portMappings = ["tcp", "udp"].map((protocol) => ({ hostPort: 8000, containerPort: TARGET_PORT, protocol }));
    const { lab: nodes } = lab.nodes;
    await nodes.addPod("hp", "n1", { runtimeConfig: { portMappings } });
    await (await nodes.prober()).serve(nodes.netnsOf("hp"), TARGET_PORT);
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "outside"]) {
          await lab.soon(from, lab.ips("n1")[index(family)] ?? "", new RegExp(`^hp saw ${from}$`), {
            port: 8000,
            kind,
          });
        }
        for (const from of ["d", "n1", "n2", "hp"]) {
          await lab.soon(from, lab.ips("n1")[index(family)] ?? "", /^hp saw /, { port: 8000, kind });
        }
      }
    }
    await nodes.delPod("hp");
  });

  it("lead there from pods, nodes and outside", async () => {
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "d", "n1", "n2"]) {
          const at = `${from} ${kind} ${family}`;
          expect(await lab.hit(from, WEB[family], { kind }), at).toBe(`c saw ${from}`);
          expect(await lab.hit(from, LB[family], { kind }), at).toBe(`c saw ${from}`);
        }
        for (const node of ["n1", "n2"]) {
          const port = { kind, port: 30_080 };
          const to = lab.ips(node)[index(family)] ?? "";
          expect(await lab.hit("outside", to, port), `${node} ${kind} ${family}`).toMatch(/^c saw /);
        }
      }
    }
  });

  it("leave nodes' own addresses to be pinged by pods elsewhere", async () => {
    for (const [from, to] of [
      ["a", "n2"],
      ["c", "n1"],
      ["n1", "n2"],
    ] as const) {
      for (const ip of lab.ips(to)) await lab.exec(from, "ping", "-c", "1", "-W", "2", ip);
    }
  });
});

describe.skipIf(noVppLab)(`services on a node with VPP beside one with Linux${vppLabNote}`, () => {
  let lab: ServiceLab;
  beforeAll(async () => {
    lab = await ServiceLab.up("mixed", { a: "n1", b: "n1", c: "n2", d: "n2" });
    await meet(lab);
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("each serves its own, with endpoints on the other", async () => {
    const [lb1, lb2] = [balanced(1), balanced(2)];
    const there = await serve(lab, "there", 1, [{ pod: "c" }], { lb: lb1, nodePort: 30_080 });
    const here = await serve(lab, "here", 2, [{ pod: "b" }], { lb: lb2, nodePort: 30_081 });
    for (const family of FAMILIES) {
      for (const kind of KINDS) {
        for (const from of ["a", "d", "n1", "n2"]) {
          expect(await lab.hit(from, there[family], { kind }), `${from} ${kind} ${family}`).toBe(`c saw ${from}`);
          expect(await lab.hit(from, here[family], { kind }), `${from} ${kind} ${family}`).toBe(`b saw ${from}`);
        }
        for (const node of ["n1", "n2"]) {
          const to = lab.ips(node)[index(family)] ?? "";
          expect(await lab.hit("outside", to, { kind, port: 30_080 }), `${node} ${kind} ${family}`).toMatch(/^c saw /);
          expect(await lab.hit("outside", to, { kind, port: 30_081 }), `${node} ${kind} ${family}`).toMatch(/^b saw /);
        }
      }
    }
  });
});
