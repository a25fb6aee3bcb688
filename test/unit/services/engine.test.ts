import { describe, expect, it } from "vitest";
import { ServiceEngine } from "../../../src/services/engine.ts";
import {
  CONFIG,
  changedKeys,
  cidrInput,
  endpoint,
  engineOf,
  frontendAt,
  GOING,
  GONE,
  hit,
  ips,
  NODE,
  nodeInput,
  OUTSIDE,
  POD,
  poolAt,
  service,
  slice,
  traceOf,
  UNREADY,
  without,
} from "../../support/services/objects.ts";

const HERE = endpoint("10.1.0.1");
const THERE = endpoint("10.2.0.1");

describe("a cluster IP", () => {
  it("is balanced among the ready endpoints, and masqueraded for whoever is no pod of this node", () => {
    const engine = engineOf([service(), slice([HERE, THERE, endpoint("10.2.0.2", UNREADY)])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080 10.2.0.1:8080");
    for (const from of [NODE, OUTSIDE]) expect(hit(engine, from, "10.96.0.1:80")).toBe("10.1.0.1:8080* 10.2.0.1:8080*");
  });

  it("masquerades a pod that gets itself", () => {
    const engine = engineOf([service(), slice([HERE, THERE])]);
    expect(hit(engine, "10.1.0.1", "10.96.0.1:80")).toBe("10.1.0.1:8080* 10.2.0.1:8080");
  });

  it("rejects without endpoints, and at its unused ports; addresses that no service has are dropped", () => {
    const engine = engineOf([service(), slice([endpoint("10.1.0.1", UNREADY)])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("reject");
    expect(hit(engine, POD, "10.96.0.1:81")).toBe("reject");
    expect(hit(engine, POD, "10.96.0.1:80/UDP")).toBe("reject");
    expect(hit(engine, POD, "10.96.0.7:80")).toBe("drop");
    expect(hit(engine, POD, "10.97.0.7:80")).toBe("not-a-service");
  });

  it("has the endpoints of its family, by the port's name, in both families and all protocols", () => {
    const ports = (["TCP", "UDP", "SCTP"] as const).map((protocol, i) => ({ name: protocol, protocol, port: 80 + i }));
    const engine = engineOf([
      service({ clusterIps: ips("10.96.0.1", "fd00:96::1"), ports }),
      slice([HERE], { ports: ports.map((p) => ({ ...p, port: p.port + 8000 })) }),
      slice([endpoint("fd00:2::1")], { name: "s-2", ports: [{ name: "UDP", protocol: "UDP", port: 9000 }] }),
    ]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
    expect(hit(engine, POD, "10.96.0.1:81/UDP")).toBe("10.1.0.1:8081");
    expect(hit(engine, POD, "10.96.0.1:82/SCTP")).toBe("10.1.0.1:8082");
    expect(hit(engine, "fd00:1::9", "[fd00:96::1]:81/UDP")).toBe("[fd00:2::1]:9000");
    expect(hit(engine, "fd00:1::9", "[fd00:96::1]:80")).toBe("reject");
  });

  it("follows a named port that is another number in another pod", () => {
    const other = slice([THERE], { name: "s-2", ports: [{ name: "http", protocol: "TCP", port: 9090 }] });
    const engine = engineOf([service(), slice([HERE]), other]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080 10.2.0.1:9090");
  });

  it("with policy Local has the endpoints of this node: drop if there are only others, reject if there are none", () => {
    const local = service({ internalTrafficPolicy: "Local" });
    expect(hit(engineOf([local, slice([HERE, THERE])]), POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
    expect(hit(engineOf([local, slice([THERE])]), POD, "10.96.0.1:80")).toBe("drop");
    expect(hit(engineOf([local, slice([])]), POD, "10.96.0.1:80")).toBe("reject");
  });

  it("knows endpoints on host networks", () => {
    const engine = engineOf([service(), slice([endpoint("192.168.0.2"), HERE])]);
    const pool = poolAt(engine, "x/s:http/TCP/4/cluster");
    expect(pool?.backends.map((b) => [b.address, b.local, b.onHost])).toEqual([
      ["10.1.0.1", true, false],
      ["192.168.0.2", false, true],
    ]);
  });
});

describe("services that are not served", () => {
  it("headless and external ones have nothing", () => {
    const headless = service({ clusterIps: [], externalIps: ips("198.51.100.1") });
    for (const none of [headless, service({ type: "ExternalName", clusterIps: [] })]) {
      const { frontends, pools, clusterIps } = engineOf([none, slice([HERE])]).rows();
      expect({ frontends, pools, clusterIps }).toEqual({ frontends: [], pools: [], clusterIps: [] });
    }
  });

  it("those of another proxy are left to it, and those labelled for us are ours", () => {
    const labelled = service({ proxyName: "other" });
    const engine = engineOf([labelled, slice([HERE])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("not-a-service");
    expect(engine.rows().frontends).toEqual([]);
    const ours = engineOf([labelled, slice([HERE])], { proxyName: "other" });
    expect(hit(ours, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });
});

describe("from outside", () => {
  const ports = [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }] as const;
  const outside = { type: "LoadBalancer", ports, externalIps: ips("198.51.100.2") } as const;
  const balanced = service({ ...outside, loadBalancerIps: ips("198.51.100.1") });
  const EVERYWHERE = ["198.51.100.1:80", "198.51.100.2:80", "192.168.0.1:30080"];

  it("all addresses lead to all endpoints, masqueraded but for this node's pods", () => {
    const engine = engineOf([balanced, slice([HERE, THERE])]);
    for (const to of EVERYWHERE) {
      expect(hit(engine, OUTSIDE, to)).toBe("10.1.0.1:8080* 10.2.0.1:8080*");
      expect(hit(engine, NODE, to)).toBe("10.1.0.1:8080* 10.2.0.1:8080*");
      expect(hit(engine, POD, to)).toBe("10.1.0.1:8080 10.2.0.1:8080");
    }
    expect(hit(engine, OUTSIDE, "192.168.0.2:30080")).toBe("not-a-service");
  });

  it("with policy Local clients keep their address and get this node's; those on this node get all", () => {
    const local = { ...outside, loadBalancerIps: ips("198.51.100.1"), externalTrafficPolicy: "Local" } as const;
    const engine = engineOf([service(local), slice([HERE, THERE])]);
    const remote = engineOf([service(local), slice([THERE])]);
    const none = engineOf([service(local), slice([])]);
    for (const to of EVERYWHERE) {
      expect(hit(engine, OUTSIDE, to)).toBe("10.1.0.1:8080");
      expect(hit(engine, POD, to)).toBe("10.1.0.1:8080 10.2.0.1:8080");
      expect(hit(engine, NODE, to)).toBe("10.1.0.1:8080* 10.2.0.1:8080*");
      expect([OUTSIDE, POD, NODE].map((from) => hit(remote, from, to))).toEqual([
        "drop",
        "10.2.0.1:8080",
        "10.2.0.1:8080*",
      ]);
      expect([OUTSIDE, POD, NODE].map((from) => hit(none, from, to))).toEqual(["reject", "reject", "reject"]);
    }
    expect(hit(engine, OUTSIDE, "10.96.0.1:80")).toBe("10.1.0.1:8080* 10.2.0.1:8080*");
  });

  it("source ranges restrict load balancers' addresses, and those only", () => {
    const engine = engineOf([
      service({ ...outside, loadBalancerIps: ips("198.51.100.1"), sourceRanges: ["203.0.113.0/24", "203.0.113.0/28"] }),
      slice([HERE]),
    ]);
    expect(frontendAt(engine, "4/TCP/198.51.100.1/80")?.sources).toEqual(["203.0.113.0/24"]);
    for (const from of [POD, NODE, "203.0.114.1"]) expect(hit(engine, from, "198.51.100.1:80")).toBe("drop");
    expect(hit(engine, OUTSIDE, "198.51.100.1:80")).toBe("10.1.0.1:8080*");
    expect(hit(engine, "203.0.114.1", "198.51.100.2:80")).toBe("10.1.0.1:8080*");
  });

  it("a node that may come by a source range may come from the load balancer's address, too", () => {
    const engine = engineOf([
      service({ ...outside, loadBalancerIps: ips("198.51.100.1"), sourceRanges: ["192.168.0.0/24"] }),
      slice([HERE]),
    ]);
    expect(frontendAt(engine, "4/TCP/198.51.100.1/80")?.sources).toEqual(["192.168.0.0/24", "198.51.100.1/32"]);
    engine.apply([nodeInput("n1", ["192.168.7.1"])]);
    expect(frontendAt(engine, "4/TCP/198.51.100.1/80")?.sources).toEqual(["192.168.0.0/24"]);
  });

  it("a range of everything restricts nobody", () => {
    const ranges = { sourceRanges: ["203.0.113.0/24", "0.0.0.0/0"], loadBalancerIps: ips("198.51.100.1") };
    const engine = engineOf([service({ ...outside, ...ranges }), slice([HERE])]);
    expect(frontendAt(engine, "4/TCP/198.51.100.1/80")).not.toHaveProperty("sources");
  });

  it("node ports are at the node's first addresses, or at those in the networks that were chosen", () => {
    const own = { kind: "own-addresses", addresses: ips("192.168.9.1", "127.0.0.1", "192.168.0.1") } as const;
    const at = (nodePortAddresses: "primary" | string[]) =>
      engineOf([balanced, slice([HERE]), own], { nodePortAddresses }).base.nodePortAddresses;
    expect(at("primary")).toEqual(["192.168.0.1", "fd01::1"]);
    expect(at(["192.168.9.0/24"])).toEqual(["192.168.9.1"]);
    expect(at(["0.0.0.0/0"])).toEqual(["192.168.0.1", "192.168.9.1"]);
    expect(at([])).toEqual([]);
  });

  it("a load balancer without node ports has none", () => {
    const engine = engineOf([service({ type: "LoadBalancer", loadBalancerIps: ips("198.51.100.1") }), slice([HERE])]);
    expect(engine.rows().frontends.map((f) => f.key)).toEqual(["4/TCP/10.96.0.1/80", "4/TCP/198.51.100.1/80"]);
  });

  it("the health check counts this node's ready endpoints", () => {
    const checked = { ...outside, externalTrafficPolicy: "Local", healthCheckNodePort: 32_000 } as const;
    const engine = engineOf([
      service({ ...checked, ports: [...ports, { name: "b", protocol: "TCP", port: 81 }] }),
      slice([HERE, THERE, endpoint("10.1.0.2"), endpoint("10.1.0.3", GOING)], {
        ports: [...["http", "b"].map((name) => ({ name, protocol: "TCP" as const, port: 8080 }))],
      }),
    ]);
    expect(engine.rows().healthChecks).toEqual([
      { port: 32_000, service: { namespace: "x", name: "s" }, localReady: 2 },
    ]);
    expect(changedKeys(engine.apply([service({ ...checked, externalTrafficPolicy: "Cluster" })]))).toContain("- 32000");
  });
});

describe("endpoints that terminate", () => {
  it("drain while others are ready, and serve when nobody is", () => {
    const engine = engineOf([service(), slice([HERE, endpoint("10.2.0.1", GOING), endpoint("10.2.0.2", GONE)])]);
    const pool = () => poolAt(engine, "x/s:http/TCP/4/cluster");
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
    expect(pool()?.draining.map((b) => b.address)).toEqual(["10.2.0.1"]);
    engine.apply([slice([endpoint("10.1.0.1", GONE), endpoint("10.2.0.1", GOING)])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.2.0.1:8080");
    expect(pool()?.backends).toMatchObject([{ address: "10.2.0.1", terminating: true }]);
    engine.apply([slice([endpoint("10.1.0.1", GONE), endpoint("10.2.0.1", GONE)])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("reject");
  });

  it("serve on this node, under policy Local, although others are ready elsewhere", () => {
    const local = service({ internalTrafficPolicy: "Local" });
    const engine = engineOf([local, slice([endpoint("10.1.0.1", GOING), THERE])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });

  it("are known to serve as long as they do, in the pool or not", () => {
    const engine = engineOf([service(), slice([HERE, endpoint("10.2.0.1", GOING), endpoint("10.2.0.2", GONE)])]);
    const of = { namespace: "x", name: "s", port: "http" };
    const serves = ips("10.1.0.1", "10.2.0.1", "10.2.0.2").map((ip) => engine.serves(of, "TCP", ip, 8080));
    expect(serves).toEqual([true, true, false]);
    expect(engine.serves(of, "TCP", HERE.addresses[0] ?? ips("::")[0]!, 8081)).toBe(false);
  });

  it("readiness does not matter to a service that publishes what is not ready", () => {
    const engine = engineOf([service({ publishNotReady: true }), slice([endpoint("10.1.0.1", UNREADY)])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });
});

describe("hints", () => {
  const hinted = (address: string, hints: object) => endpoint(address, hints);
  const at = (...endpoints: ReturnType<typeof endpoint>[]) =>
    hit(engineOf([service(), slice(endpoints)]), POD, "10.96.0.1:80");

  it("for zones are followed if all that are ready have them and this zone is among them", () => {
    const [a, b] = [hinted("10.1.0.1", { forZones: ["z1"] }), hinted("10.2.0.1", { forZones: ["z2"] })];
    expect(at(a, b)).toBe("10.1.0.1:8080");
    expect(at(a, b, endpoint("10.2.0.2"))).toBe("10.1.0.1:8080 10.2.0.1:8080 10.2.0.2:8080");
    expect(at(a, b, endpoint("10.2.0.2", UNREADY))).toBe("10.1.0.1:8080");
    expect(at(b)).toBe("10.2.0.1:8080");
    expect(at({ ...a, ...GOING }, b)).toBe("10.2.0.1:8080");
  });

  it("for nodes come before those for zones, which are what is left without them", () => {
    const forZones = ["z1"];
    const a = hinted("10.1.0.1", { forZones, forNodes: ["n1"] });
    const b = hinted("10.1.0.2", { forZones, forNodes: ["n2"] });
    expect(at(a, b)).toBe("10.1.0.1:8080");
    expect(at(b, hinted("10.2.0.1", { forZones: ["z2"], forNodes: ["n2"] }))).toBe("10.1.0.2:8080");
  });

  it("follow the node into another zone", () => {
    const engine = engineOf([
      service(),
      slice([hinted("10.1.0.1", { forZones: ["z1"] }), hinted("10.2.0.1", { forZones: ["z2"] })]),
    ]);
    engine.apply([nodeInput("n1", ["192.168.0.1"], "z2")]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.2.0.1:8080");
    engine.apply([nodeInput("n1", ["192.168.0.1"])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080 10.2.0.1:8080");
  });

  it("mean nothing under policy Local", () => {
    const local = service({ internalTrafficPolicy: "Local" });
    const engine = engineOf([local, slice([hinted("10.1.0.1", { forZones: ["z2"] })])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });
});

describe("how it is balanced", () => {
  it("affinity and Maglev are the pools'", () => {
    const engine = engineOf([
      service({ clientIpAffinity: 10_800, annotations: { "heddle.dev/lb": "maglev" } }),
      slice([HERE]),
    ]);
    expect(poolAt(engine, "x/s:http/TCP/4/cluster")).toMatchObject({ affinity: 10_800, balancing: "maglev" });
    expect(traceOf(engine, POD, "10.96.0.1:80").outcome).toMatchObject({ affinity: 10_800, balancing: "maglev" });
    expect(changedKeys(engine.apply([service()]))).toEqual(["~ x/s:http/TCP/4/cluster"]);
  });
});

describe("changes", () => {
  const two = [service(), slice([HERE, THERE])];

  it("of a slice touch the pools of its service only", () => {
    const other = { name: "t", clusterIps: ips("10.96.0.2") };
    const engine = engineOf([...two, service(other), slice([HERE], { name: "t-1", service: "t" })]);
    expect(changedKeys(engine.apply([slice([HERE])]))).toEqual(["~ x/s:http/TCP/4/cluster"]);
    expect(changedKeys(engine.apply([slice([HERE])]))).toEqual([]);
    expect(changedKeys(engine.apply([slice([])]))).toEqual(["~ 4/TCP/10.96.0.1/80", "- x/s:http/TCP/4/cluster"]);
    expect(changedKeys(engine.apply([slice([THERE])]))).toEqual(["~ 4/TCP/10.96.0.1/80", "+ x/s:http/TCP/4/cluster"]);
  });

  it("an endpoint that moves between slices moves nothing", () => {
    const engine = engineOf(two);
    expect(changedKeys(engine.apply([slice([HERE]), slice([THERE, HERE], { name: "s-2" })]))).toEqual([]);
    expect(changedKeys(engine.apply([without(slice([]))]))).toEqual([]);
  });

  it("of a service that goes take everything of it", () => {
    const engine = engineOf(two);
    expect(changedKeys(engine.apply([without(service()), without(slice([]))]))).toEqual([
      "- 10.96.0.1",
      "- 4/TCP/10.96.0.1/80",
      "- x/s:http/TCP/4/cluster",
    ]);
    expect(engine.stats()).toMatchObject({ services: 0, slices: 0, frontends: 0, pools: 0, problems: 0 });
  });

  it("of node-port addresses and service CIDRs are one row's", () => {
    const engine = engineOf(two);
    const { base } = engine.apply([nodeInput("n1", ["192.168.5.1"], "z1"), cidrInput("more", "10.97.0.0/24")]);
    expect(base?.new).toMatchObject({
      nodePortAddresses: ["192.168.5.1"],
      serviceCidrs: ["10.96.0.0/16", "10.97.0.0/24", "fd00:96::/112"],
    });
    expect(hit(engine, POD, "10.97.0.1:80")).toBe("drop");
    engine.apply([without(cidrInput("more"))]);
    expect(hit(engine, POD, "10.97.0.1:80")).toBe("not-a-service");
  });

  it("of other nodes matter to endpoints on their networks", () => {
    const engine = engineOf([service(), slice([endpoint("192.168.3.3")])]);
    const changes = engine.apply([nodeInput("n3", ["192.168.3.3"])]);
    expect(changes.pools.map((c) => [c.old, c.new].map((p) => p?.backends[0]?.onHost))).toEqual([[false, true]]);
    expect(changedKeys(engine.apply([nodeInput("n4", ["192.168.4.4"])]))).toEqual([]);
  });

  it("say when what they report happened", () => {
    const engine = engineOf(two);
    const batch = [slice([HERE], { triggered: 2000 }), slice([HERE], { name: "s-2", triggered: 1000 })];
    expect(engine.apply(batch).triggered).toEqual([1000, 2000]);
    expect(engine.apply([]).triggered).toEqual([]);
  });

  it("name the frontends of a pool", () => {
    const ports = [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }] as const;
    const engine = engineOf([service({ type: "NodePort", ports, externalTrafficPolicy: "Local" }), slice([HERE])]);
    const keysOf = (scope: string) =>
      engine.frontendsOf(poolAt(engine, `x/s:http/TCP/4/${scope}`)?.id as never).map((f) => f.key);
    expect(keysOf("cluster")).toEqual(["4/TCP/10.96.0.1/80", "4/TCP/node/30080"]);
    expect(keysOf("local")).toEqual(["4/TCP/node/30080"]);
  });
});

it("refuses a configuration with networks that are none", () => {
  expect(() => new ServiceEngine({ ...CONFIG, podCidrs: ["10.1.0.0"] })).toThrow("prefix length is missing");
});
