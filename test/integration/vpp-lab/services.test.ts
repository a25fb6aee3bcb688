import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SERVICE_LIMITS } from "../../../src/dataplane/vpp/services/limits.ts";
import { sent } from "../../support/restart-lab.ts";
import { type EndpointSpec, ServiceLab, type Spec, TARGET_PORT } from "../../support/services/service-lab.ts";
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

describe.skipIf(noVppLab)(`services on two nodes with VPP${vppLabNote}`, () => {
  let lab: ServiceLab;

  beforeAll(async () => {
    lab = await ServiceLab.up("vpp", { a: "n1", b: "n1", c: "n2", d: "n2" });
    await serve(lab, "web", 1, [{ pod: "c" }], { lb: LB, nodePort: 30_080 });
  });
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("what is otherwise than on Linux is told at start, in status and in the guide", async () => {
    const { dataplane } = await lab.nodes.get<{ dataplane: { serviceLimits: unknown } }>("n1", "/status");
    expect(dataplane.serviceLimits).toEqual(SERVICE_LIMITS);
    const log = readFileSync(lab.nodes.lab.paths.node("n1").log, "utf8");
    expect(log).toContain(JSON.stringify({ limits: SERVICE_LIMITS }).slice(1, -1));
    expect(readFileSync("docs/guide/services.md", "utf8")).toContain("## What there is, by dataplane");
  });

  it("source ranges are the host's to judge, for clients from outside", async () => {
    await serve(lab, "local", 3, [{ pod: "b" }], { lb: balanced(3), externalTrafficPolicy: "Local" });
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
