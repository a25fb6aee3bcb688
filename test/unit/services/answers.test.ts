import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { findService, parseSocket } from "../../../src/services/ask.ts";
import { explainService, explainSocket, listServices } from "../../../src/services/explain.ts";
import {
  endpoint,
  engineOf,
  GOING,
  GONE,
  ips,
  NODE,
  OUTSIDE,
  POD,
  service,
  slice,
  traceOf,
  UNREADY,
} from "../../support/services/objects.ts";

const LB = {
  type: "LoadBalancer",
  loadBalancerIps: ips("198.51.100.1"),
  ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }],
  externalTrafficPolicy: "Local",
} as const;

describe("a trace", () => {
  const engine = engineOf([
    service({ ...LB, sourceRanges: ["203.0.113.0/24", "10.0.0.0/8"] }),
    slice([endpoint("10.1.0.1"), endpoint("10.2.0.1")]),
    service({ name: "empty", clusterIps: ips("10.96.0.2") }),
    service({ name: "others", clusterIps: ips("10.96.0.3"), proxyName: "other" }),
  ]);

  it.each([
    [POD, "10.96.0.1:80", ["10.96.0.1:80/TCP is a cluster IP of x/s, port http", "one of 2 endpoints"]],
    [
      OUTSIDE,
      "198.51.100.1:80",
      ["198.51.100.1:80/TCP is a load balancer's address of x/s, port http", "one of 1 endpoints on this node"],
    ],
    [
      "203.0.114.1",
      "198.51.100.1:80",
      [
        "198.51.100.1:80/TCP is a load balancer's address of x/s, port http",
        "203.0.114.1 is in none of its source ranges",
      ],
    ],
    [
      OUTSIDE,
      "192.168.0.1:30080",
      ["192.168.0.1:30080/TCP is a node port of x/s, port http", "one of 1 endpoints on this node"],
    ],
    [POD, "10.96.0.2:80", ["10.96.0.2:80/TCP is a cluster IP of x/empty, port http", "no endpoint serves"]],
    [POD, "10.96.0.1:81", ["10.96.0.1 is a cluster IP without 10.96.0.1:81/TCP"]],
    [POD, "10.96.0.3:80", ["10.96.0.3 is a cluster IP that another proxy serves"]],
    [POD, "10.96.0.9:80", ["10.96.0.9 is a cluster IP that no service has"]],
    [POD, "192.0.2.1:80", ["no service is at 192.0.2.1:80/TCP"]],
  ])("from %s to %s says each step", (from, to, steps) => {
    expect(traceOf(engine, from, to).steps.slice(1)).toEqual(steps);
  });

  it("says who asks", () => {
    const clients = [POD, NODE, OUTSIDE, "10.2.0.1"].map((from) => traceOf(engine, from, "10.96.0.1:80"));
    expect(clients.map((t) => t.client)).toEqual(["pod", "node", "outside", "outside"]);
    expect(clients.map((t) => t.steps[0])).toEqual([
      "10.1.0.9 is a pod of this node",
      "192.168.0.1 is this node itself",
      "203.0.113.5 is not of this node",
      "10.2.0.1 is not of this node",
    ]);
  });

  it("says that this node has nothing to give", () => {
    const remote = engineOf([service(LB), slice([endpoint("10.2.0.1")])]);
    expect(traceOf(remote, OUTSIDE, "198.51.100.1:80").steps.at(-1)).toBe("no endpoint on this node serves");
  });
});

describe("an explanation", () => {
  it("says of each endpoint why it is in or out, for both policies", () => {
    const engine = engineOf([
      service(LB),
      slice([
        endpoint("10.1.0.1", { forZones: ["z1"] }),
        endpoint("10.1.0.2", GOING),
        endpoint("10.1.0.3", UNREADY),
        endpoint("10.2.0.1", { forZones: ["z2"] }),
        endpoint("10.2.0.2", { ...GONE, serving: true, terminating: false }),
      ]),
    ]);
    const [port] = explainService(engine, { namespace: "x", name: "s" })?.ports ?? [];
    expect(port?.endpoints.map((e) => [e.address, e.cluster, e.local])).toEqual([
      ["10.1.0.1", { in: true, reason: "same-zone" }, { in: true, reason: "ready" }],
      ["10.1.0.2", { in: false, reason: "draining" }, { in: false, reason: "draining" }],
      ["10.1.0.3", { in: false, reason: "not-serving" }, { in: false, reason: "not-serving" }],
      ["10.2.0.1", { in: false, reason: "other-zone" }, { in: false, reason: "not-local" }],
      ["10.2.0.2", { in: false, reason: "not-ready" }, { in: false, reason: "not-local" }],
    ]);
    expect(port?.hints).toEqual({ followed: "zone", of: "z1" });
    expect(port).toMatchObject({
      externalTrafficPolicy: "Local",
      internalTrafficPolicy: "Cluster",
      balancing: "random",
    });
    expect(port?.frontends.map((f) => f.key)).toEqual([
      "4/TCP/10.96.0.1/80",
      "4/TCP/198.51.100.1/80",
      "4/TCP/node/30080",
    ]);
  });

  it("says why hints are not followed", () => {
    const hintsOf = (...endpoints: ReturnType<typeof endpoint>[]) =>
      explainService(engineOf([service(), slice(endpoints)]), { namespace: "x", name: "s" })?.ports[0]?.hints;
    const here = endpoint("10.1.0.1", { forZones: ["z1"] });
    expect(hintsOf(endpoint("10.1.0.1"))).toEqual({ followed: "none", node: "none", zone: "none" });
    expect(hintsOf(here, endpoint("10.2.0.1"))).toEqual({ followed: "none", node: "none", zone: "incomplete" });
    expect(hintsOf(endpoint("10.2.0.1", { forZones: ["z2"] }))).toMatchObject({ zone: "not-for-here" });
    expect(hintsOf(endpoint("10.2.0.1", GOING))).toMatchObject({ zone: "no-ready" });
    expect(hintsOf(endpoint("10.1.0.1", { forNodes: ["n1"] }))).toEqual({ followed: "node", of: "n1" });
  });

  it("names what another service has, and all problems", () => {
    const engine = engineOf([
      service(LB),
      service({ ...LB, name: "t", created: 2, clusterIps: ips("10.96.0.2"), healthCheckNodePort: 32_000 }),
      slice([endpoint("127.0.0.1")], { name: "t-1", service: "t" }),
    ]);
    const found = explainService(engine, { namespace: "x", name: "t" });
    expect(found?.ports[0]?.lost.map((l) => [l.frontend.key, l.to.name])).toEqual([
      ["4/TCP/198.51.100.1/80", "s"],
      ["4/TCP/node/30080", "s"],
    ]);
    expect(found?.problems.map((p) => [p.object.name, p.problems.map((x) => x.code)])).toEqual([
      ["t", ["TAKEN", "TAKEN"]],
      ["t-1", ["SPECIAL_ADDRESS"]],
    ]);
  });

  it("finds the port by an address of it", () => {
    const engine = engineOf([service(LB), slice([endpoint("10.1.0.1")])]);
    for (const text of ["10.96.0.1:80", "198.51.100.1:80", "192.168.0.1:30080/tcp"]) {
      expect(explainSocket(engine, parseSocket(text))?.endpoints.map((e) => e.address)).toEqual(["10.1.0.1"]);
    }
    expect(explainSocket(engine, parseSocket("10.96.0.1:81"))).toBeUndefined();
  });

  it("says what is not served, and knows nothing of what is not there", () => {
    const engine = engineOf([service({ clusterIps: [] })]);
    expect(explainService(engine, { namespace: "x", name: "s" })).toMatchObject({ notServed: "headless", ports: [] });
    expect(explainService(engine, { namespace: "x", name: "t" })).toBeUndefined();
  });
});

it("the list has a line for each service", () => {
  const engine = engineOf([
    service(LB),
    slice([endpoint("10.1.0.1"), endpoint("10.2.0.1", UNREADY)]),
    slice([endpoint("10.1.0.1", UNREADY)], { name: "s-2" }),
    service({ namespace: "a", clusterIps: [] }),
  ]);
  expect(listServices(engine)).toEqual([
    {
      ...{ namespace: "a", name: "s", type: "ClusterIP", clusterIps: [], outside: [], ports: ["80/TCP"] },
      ...{ ready: 0, endpoints: 0, notServed: "headless", problems: 0 },
    },
    {
      ...{ namespace: "x", name: "s", type: "LoadBalancer", clusterIps: ["10.96.0.1"], outside: ["198.51.100.1"] },
      ...{ ports: ["80:30080/TCP"], ready: 1, endpoints: 2, problems: 1 },
    },
  ]);
});

describe("questions", () => {
  it.each([
    ["10.96.0.1:80", { to: "10.96.0.1", protocol: "TCP", port: 80 }],
    ["[fd00:0::1]:53/udp", { to: "fd00::1", protocol: "UDP", port: 53 }],
    ["10.96.0.1:9/SCTP", { to: "10.96.0.1", protocol: "SCTP", port: 9 }],
  ])("%s is read", (text, socket) => {
    expect(parseSocket(text)).toEqual(socket);
  });

  it.each(["10.96.0.1", "fd00::1:80", "[10.96.0.1]:80", "10.96.0.1:0", "10.96.0.1:99999", "10.96.0.1:80/icmp", "x:80"])(
    "%s is refused, saying what would be right",
    (text) => {
      expect(() => parseSocket(text)).toThrow(`"${text}": `);
      expect(() => parseSocket(text)).toThrow("it is ADDRESS:PORT");
    },
  );

  it("find services by name, if it is clear which", () => {
    const engine = engineOf([service(), service({ namespace: "y" }), service({ name: "only", clusterIps: [] })]);
    expect(findService(engine, "only")).toEqual({ namespace: "x", name: "only" });
    expect(findService(engine, "y/s")).toEqual({ namespace: "y", name: "s" });
    expect(() => findService(engine, "s")).toThrow("several services have the name s: x/s, y/s; say which");
    expect(() => findService(engine, "z/s")).toThrow("there is no service z/s; is it x/s, y/s?");
    expect(() => findService(engine, "z")).toThrow(/^there is no service z$/);
  });
});

it("hairpins are masqueraded in traces, too", () => {
  const engine = engineOf([service(), slice([endpoint("10.1.0.1")])]);
  const { outcome } = traceOf(engine, "10.1.0.1", "10.96.0.1:80");
  expect(outcome).toMatchObject({ backends: [{ address: parseIp("10.1.0.1"), masqueraded: true }] });
});
