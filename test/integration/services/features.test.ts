import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { underlayPlan } from "../../../src/lab/net/plan.ts";
import { onEachDataplane } from "../../support/agent-node/dataplanes.ts";
import { type EndpointSpec, ServiceLab, TARGET_PORT } from "../../support/services/service-lab.ts";
import { until } from "../../support/until.ts";

const FAMILIES = [4, 6] as const;
type Family = (typeof FAMILIES)[number];
/** Of load balancers; the fabric leads them to the first node. */
const LB = { 4: "203.0.113.1", 6: "2001:db8:1::1" } as const;
const BALANCED = { loadBalancer: { ingress: Object.values(LB).map((ip) => ({ ip })) } };
const OUTSIDE = { 4: underlayPlan.outside.v4, 6: underlayPlan.outside.v6 } as const;
const HEALTH = 32_100;

/** What a pod on VPP is told by ICMP, in place of what the kernel refuses with. */
const UNREACHABLE = { 4: "EHOSTUNREACH", 6: "ENETUNREACH" } as const;

onEachDataplane("what services promise", (dataplane) => {
  let lab: ServiceLab;
  const isVpp = dataplane === "vpp";
  const nodeIp = (node: string, family: Family): string => lab.ips(node)[family === 4 ? 0 : 1] ?? "";

  beforeAll(async () => {
    lab = await ServiceLab.up(dataplane, { a: "n1", b: "n1", c: "n2", d: "n2" });
    await lab.lead(Object.values(LB), "n1");
  });
  // What a test that failed has left would claim addresses of the next one's.
  afterEach(() => lab.clear());
  afterAll(() => lab?.[Symbol.asyncDispose]());

  it("what a service has of the node comes before a pod's host port, which is the pod's again when the service goes", async () => {
    const port = 30_200;
    const portMappings = ["tcp", "udp"].map((protocol) => ({ hostPort: port, containerPort: TARGET_PORT, protocol }));
    const { lab: nodes } = lab.nodes;
    await nodes.addPod("hp", "n1", { runtimeConfig: { portMappings } });
    await (await nodes.prober()).serve(nodes.netnsOf("hp"), TARGET_PORT);
    const clients = ["a", "d", "hp", "n1", "n2", "outside"];
    const hits = async (whose: RegExp, kind: "tcp" | "udp"): Promise<void> => {
      for (const family of FAMILIES) {
        for (const from of clients) await lab.soon(from, nodeIp("n1", family), whose, { port, kind });
      }
    };
    await hits(/^hp saw /, "tcp");
    await lab.make("twice", { type: "NodePort", ports: [{ port: 80, nodePort: port }] }, [{ pod: "b" }]);
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
    const ips = await lab.make("none", { type: "LoadBalancer", ports }, [], { status: BALANCED });
    for (const family of FAMILIES) {
      // A kernel is told that nobody listens, where VPP says that there is no way.
      const refused = (isRefusedByVpp: boolean): RegExp =>
        isRefusedByVpp ? new RegExp(`^(ECONNREFUSED|${UNREACHABLE[family]})$`) : /^ECONNREFUSED$/;
      for (const from of ["a", "d", "n1"]) {
        const isNode = from === "n1";
        for (const port of [80, 81]) {
          await lab.soon(from, ips[family], refused(isVpp && !isNode), { port });
          // The node's own process is told so by the system call. Of UDP nobody is told that there is no way.
          const toldOfUdp = isNode ? /^EPERM$/ : isVpp ? /^E(CONNREFUSED|TIMEDOUT)$/ : /^ECONNREFUSED$/;
          await lab.soon(from, ips[family], toldOfUdp, { port, kind: "udp", timeoutMs: 300 });
        }
      }
      await lab.soon("outside", LB[family], refused(isVpp));
      await lab.soon("outside", LB[family], isVpp ? /^ETIMEDOUT$/ : /^ECONNREFUSED$/, { kind: "udp", timeoutMs: 300 });
      for (const kind of ["tcp", "udp"] as const) {
        await lab.soon("outside", nodeIp("n2", family), /^ECONNREFUSED$/, { kind, port: 30_100 });
      }
      const nobodys = family === 4 ? "10.96.200.200" : "fd00:96::200";
      for (const from of ["a", "n1"]) expect(await lab.hit(from, nobodys, { timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
  });

  it("with policy Local clients from outside are seen as they are, by what is on the node; its health is told", async () => {
    const spec = {
      type: "LoadBalancer",
      externalTrafficPolicy: "Local",
      healthCheckNodePort: HEALTH,
      ports: [{ port: 80, nodePort: 30_101 }],
    };
    const ips = await lab.make("local", spec, [{ pod: "b" }], { status: BALANCED });
    for (const family of FAMILIES) {
      expect(await lab.hit("outside", LB[family])).toBe("b saw outside");
      expect(await lab.hit("outside", nodeIp("n1", family), { port: 30_101 })).toBe("b saw outside");
      expect(await lab.hit("outside", nodeIp("n2", family), { port: 30_101, timeoutMs: 300 })).toBe("ETIMEDOUT");
      // Within the cluster all endpoints are meant.
      expect(await lab.hit("d", LB[family])).toBe("b saw d");
      expect(await lab.hit("d", nodeIp("n2", family), { port: 30_101 })).toBe("b saw d");
      expect(await lab.hit("n2", LB[family])).toBe("b saw n2");
      expect(await lab.hit("d", ips[family])).toBe("b saw d");
    }
    // At node ports and balanced addresses VPP gives pods what is on their node.
    const both = [{ pod: "b" }, { pod: "c" }];
    for (const family of FAMILIES) lab.endpoints("local", family, both);
    await lab.settled();
    for (const family of FAMILIES) {
      const hits = await Promise.all(Array.from({ length: 24 }, () => lab.hit("d", LB[family])));
      expect(new Set(hits)).toEqual(new Set(isVpp ? ["c saw d"] : ["b saw d", "c saw d"]));
    }
    for (const family of FAMILIES) lab.endpoints("local", family, [{ pod: "b" }]);
    await lab.settled();
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
      const ips = await lab.make("kubernetes", { ports }, []);
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
    const ips = await lab.make("inside", { internalTrafficPolicy: "Local" }, [{ pod: "b" }]);
    for (const family of FAMILIES) {
      expect(await lab.hit("a", ips[family])).toBe("b saw a");
      expect(await lab.hit("n1", ips[family])).toMatch(/^b saw n1$/);
      expect(await lab.hit("n2", ips[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
      // VPP refuses what is to be dropped, and says so once in a while only.
      if (isVpp) await lab.soon("d", ips[family], new RegExp(UNREACHABLE[family]));
      else expect(await lab.hit("d", ips[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
  });

  // On VPP that is the host's to judge, for the outside only: ../vpp-lab/services.test.ts.
  if (!isVpp) {
    it("load balancers' source ranges keep others out", async () => {
      const spec = { type: "LoadBalancer", loadBalancerSourceRanges: ["192.168.77.0/24", "fd77::/64"] };
      const ips = await lab.make("ranges", spec, [{ pod: "c" }], { status: BALANCED });
      for (const family of FAMILIES) {
        expect(await lab.hit("outside", LB[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
        expect(await lab.hit("a", LB[family], { timeoutMs: 200 })).toBe("ETIMEDOUT");
        expect(await lab.hit("n1", LB[family])).toBe("c saw n1");
        expect(await lab.hit("a", ips[family])).toBe("c saw a");
      }
      lab.service(
        "ranges",
        { clusterIPs: Object.values(ips), ports: [{ port: 80 }], type: "LoadBalancer" },
        { status: BALANCED },
      );
      await lab.soon("outside", LB[4], /^c saw n1$/);
      lab.delete("Service", "ranges");
    });
  }

  it("those who terminate are the last resort; who is not ready counts where the service says so", async () => {
    const going = { ready: false, serving: true, terminating: true } as const;
    const ips = await lab.make("going", {}, [{ pod: "b", ...going }, { pod: "c" }]);
    const whose = async (from: string, family: Family): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: 24 }, () => lab.hit(from, ips[family]))));
    const has = async (...endpoints: readonly EndpointSpec[]) => {
      for (const family of FAMILIES) lab.endpoints("going", family, endpoints);
      await lab.settled();
    };
    for (const family of FAMILIES) {
      for (const from of ["a", "n1"]) expect(await whose(from, family)).toEqual(new Set([`c saw ${from}`]));
    }
    await has({ pod: "b", ...going }, { pod: "c", ready: false });
    for (const family of FAMILIES) {
      for (const from of ["a", "n1"]) expect(await whose(from, family)).toEqual(new Set([`b saw ${from}`]));
    }
    lab.service("going", { clusterIPs: Object.values(ips), ports: [{ port: 80 }], publishNotReadyAddresses: true });
    const others = [{ pod: "b", ...going } as const, { pod: "d", ready: false }];
    for (const family of FAMILIES) lab.endpoints("going", family, others);
    for (const family of FAMILIES) {
      for (const from of ["a", "n1"]) {
        const both = `b saw ${from}, d saw ${from}`;
        await until("both are used", async () => [...(await whose(from, family))].sort().join(", ") === both);
      }
    }
  });

  it("hints keep clients on their node, as long as all endpoints have one", async () => {
    const ips = await lab.make("near", { trafficDistribution: "PreferSameNode" }, []);
    const hint = (node: string) => ({ hints: { forNodes: [{ name: node }] } });
    const has = async (...endpoints: readonly EndpointSpec[]) => {
      for (const family of FAMILIES) lab.endpoints("near", family, endpoints);
      await lab.settled();
    };
    const whose = async (from: string, family: Family): Promise<Set<string>> =>
      new Set(await Promise.all(Array.from({ length: 24 }, () => lab.hit(from, ips[family]))));
    await has({ pod: "b", ...hint("n1") }, { pod: "c", ...hint("n2") });
    for (const family of FAMILIES) {
      for (const from of ["a", "n1"]) expect(await whose(from, family)).toEqual(new Set([`b saw ${from}`]));
      for (const from of ["d", "n2"]) expect(await whose(from, family)).toEqual(new Set([`c saw ${from}`]));
    }
    await has({ pod: "b", ...hint("n1") }, { pod: "c", ...hint("n2") }, { pod: "d" });
    for (const family of FAMILIES) {
      expect(await whose("a", family)).toEqual(new Set(["b saw a", "c saw a", "d saw a"]));
    }
  });

  it("what another proxy is to serve is left to it; networks of services come and go", async () => {
    const label = "service.kubernetes.io/service-proxy-name";
    const ips = await lab.make("other", {}, [{ pod: "c" }]);
    for (const family of FAMILIES) expect(await lab.hit("a", ips[family])).toBe("c saw a");
    lab.service("other", { clusterIPs: Object.values(ips), ports: [{ port: 80 }] }, { labels: { [label]: "mesh" } });
    for (const family of FAMILIES) {
      // It leaves the node, and nobody out there knows it.
      for (const from of ["a", "n1"]) await lab.soon(from, ips[family], /^E/, { timeoutMs: 200 });
    }
    const cidr = (name: string, cidrs: readonly string[]) => ({
      ...{ apiVersion: "networking.k8s.io/v1", kind: "ServiceCIDR", metadata: { name }, spec: { cidrs } },
    });
    // Somebody out there has these addresses, too.
    const outsides = { 4: "192.0.2.9", 6: "2001:db8:2::9" } as const;
    for (const family of FAMILIES) {
      await lab.exec("outside", "ip", "address", "add", outsides[family], "dev", "lo");
      await lab.exec("fabric", "ip", "route", "add", outsides[family], "via", underlayPlan.outside[`v${family}`]);
    }
    const everyone = async (expected: RegExp) => {
      for (const family of FAMILIES) {
        for (const from of ["a", "n1"]) {
          await lab.soon(from, outsides[family], expected, { port: TARGET_PORT, timeoutMs: 200 });
        }
      }
    };
    await everyone(/ saw n1$/);
    lab.apply(cidr("more", ["192.0.2.0/24", "2001:db8:2::/64"]));
    await everyone(/^ETIMEDOUT$/);
    lab.delete("ServiceCIDR", "more");
    await everyone(/ saw n1$/);
  });

  it("policies judge endpoints and clients as they are, behind cluster IPs, node ports and a pod's way to itself", async () => {
    const spec = { type: "NodePort", ports: [{ port: 80, nodePort: 30_104 }] };
    const ips = await lab.make("judged", spec, [{ pod: "c" }]);
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
      expect(await lab.hit("c", ips[family])).toBe(isVpp ? "c saw subnet2" : "c saw n2");
      expect(await lab.hit("n2", ips[family])).toBe("c saw n2");
      expect(await lab.hit("outside", nodeIp("n2", family), { port: 30_104, timeoutMs: 200 })).toBe("ETIMEDOUT");
    }
    lab.nodes.lab.manifests.delete(
      "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: only-a, namespace: default }\n",
    );
  });
});
