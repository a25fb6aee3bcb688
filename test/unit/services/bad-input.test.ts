import { describe, expect, it } from "vitest";
import type { ServiceInput } from "../../../src/services/api.ts";
import {
  changedKeys,
  cidrInput,
  endpoint,
  engineOf,
  hit,
  ips,
  nodeInput,
  OUTSIDE,
  POD,
  problemsOf,
  service,
  slice,
  without,
} from "../../support/services/objects.ts";

const HERE = endpoint("10.1.0.1");
/** Another service, younger. */
const other = (more: object): ServiceInput => service({ name: "t", created: 2, clusterIps: ips("10.96.0.2"), ...more });
const otherSlice = slice([endpoint("10.2.0.9")], { name: "t-1", service: "t" });

describe("slices", () => {
  it.each([
    ["without ports", slice([HERE], { ports: [] }), "NO_PORTS ports (ignored)"],
    [
      "with a port without number",
      slice([HERE], { ports: [{ name: "http", protocol: "TCP" }] }),
      "NO_PORT_NUMBER ports[0] (part-ignored)",
    ],
    ["of a service that does not exist", slice([HERE], { service: "nobody" }), "NO_SERVICE metadata.labels (ignored)"],
    [
      "with addresses of the other family",
      slice([HERE], { addressType: "IPv6" }),
      "FOREIGN_FAMILY endpoints[0].addresses (part-ignored)",
    ],
    [
      "with addresses that are nobody's",
      slice([endpoint("127.0.0.1")]),
      "SPECIAL_ADDRESS endpoints[0].addresses (part-ignored)",
    ],
  ])("%s are named, and the rest is served", (_, bad, problem) => {
    const engine = engineOf([service(), bad, other({}), otherSlice]);
    expect(problemsOf(engine)).toEqual([`s-1: ${problem}`]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("reject");
    expect(hit(engine, POD, "10.96.0.2:80")).toBe("10.2.0.9:8080");
    expect(changedKeys(engine.apply([slice([HERE])]))).toContain("- s-1");
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });

  it("with an address several times, or several of one endpoint, have it once", () => {
    const more = endpoint("10.2.0.1", { addresses: ips("10.2.0.1", "10.2.0.2") });
    const engine = engineOf([service(), slice([HERE, HERE, more])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080 10.2.0.1:8080");
    expect(problemsOf(engine)).toEqual([
      "s-1: DUPLICATE_ADDRESS endpoints[1].addresses (part-ignored)",
      "s-1: SEVERAL_ADDRESSES endpoints[2].addresses (part-ignored)",
    ]);
  });

  it("without ports or endpoints, as of headless services, are right", () => {
    const headless = service({ clusterIps: [] });
    expect(problemsOf(engineOf([headless, slice([HERE], { ports: [] })]))).toEqual([]);
    expect(problemsOf(engineOf([service(), slice([], { ports: [] })]))).toEqual([]);
  });

  it("that are older than what is known are not taken", () => {
    const engine = engineOf([service(), slice([HERE], { uid: "u", generation: 5 })]);
    const old = slice([endpoint("10.2.0.1")], { uid: "u", generation: 4 });
    expect(changedKeys(engine.apply([old]))).toEqual(["+ s-1"]);
    expect(problemsOf(engine)).toEqual(["s-1: STALE metadata.generation (none)"]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
    engine.apply([slice([endpoint("10.2.0.2")], { uid: "u", generation: 6 })]);
    expect(problemsOf(engine)).toEqual([]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.2.0.2:8080");
    engine.apply([slice([endpoint("10.2.0.3")], { uid: "another", generation: 1 })]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.2.0.3:8080");
  });

  it("that can't be read are named", () => {
    const damaged = {
      kind: "endpointslice",
      at: { namespace: "x", name: "s-1" },
      object: { unreadable: "why" },
    } as const;
    const engine = engineOf([service(), slice([HERE]), damaged]);
    expect(problemsOf(engine)).toEqual(["s-1: UNREADABLE  (ignored)"]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("reject");
    engine.apply([without(damaged)]);
    expect(problemsOf(engine)).toEqual([]);
  });
});

describe("two services that want the same", () => {
  const ports = [{ name: "http", protocol: "TCP", port: 80, nodePort: 30_080 }] as const;
  const outside = { type: "LoadBalancer", ports } as const;

  it.each([
    ["node port", {}, "192.168.0.1:30080", "spec.ports[0].nodePort"],
    ["external IP", { externalIps: ips("198.51.100.1") }, "198.51.100.1:80", "spec.externalIPs"],
    [
      "load balancer's address",
      { loadBalancerIps: ips("198.51.100.1") },
      "198.51.100.1:80",
      "status.loadBalancer.ingress",
    ],
  ])("%s: the older has it, whoever came first, and the other is told", (_, wish, to, at) => {
    const same = {
      ...outside,
      ...wish,
      ports: [{ ...ports[0], nodePort: at.includes("nodePort") ? 30_080 : undefined }],
    };
    const engine = engineOf([other(same), otherSlice]);
    expect(hit(engine, POD, to)).toBe("10.2.0.9:8080");
    engine.apply([service(same), slice([HERE])]);
    expect(hit(engine, POD, to)).toBe("10.1.0.1:8080");
    expect(problemsOf(engine)).toEqual([`t: TAKEN ${at} (part-ignored)`]);
    expect(hit(engine, POD, "10.96.0.2:80")).toBe("10.2.0.9:8080");
    engine.apply([without(service())]);
    expect(hit(engine, POD, to)).toBe("10.2.0.9:8080");
    expect(problemsOf(engine)).toEqual(["s-1: NO_SERVICE metadata.labels (ignored)"]);
  });

  it("health check port: the older has it", () => {
    const checked = { type: "LoadBalancer", externalTrafficPolicy: "Local", healthCheckNodePort: 32_000 } as const;
    const engine = engineOf([other(checked), service(checked)]);
    expect(engine.rows().healthChecks.map((h) => h.service.name)).toEqual(["s"]);
    expect(problemsOf(engine)).toEqual(["t: TAKEN spec.healthCheckNodePort (part-ignored)"]);
  });

  it("of one second: the lower UID has it, then the name", () => {
    const same = { ...outside, created: 1 };
    const nodePortOf = (a: string, b: string): string =>
      hit(
        engineOf([other({ ...same, uid: a }), otherSlice, service({ ...same, uid: b }), slice([HERE])]),
        POD,
        "192.168.0.1:30080",
      );
    expect(nodePortOf("a", "b")).toBe("10.2.0.9:8080");
    expect(nodePortOf("b", "a")).toBe("10.1.0.1:8080");
    expect(nodePortOf("", "")).toBe("10.1.0.1:8080");
  });

  it("nobody takes the cluster IP of another, be it as old as it may", () => {
    const thief = service({ created: 0, externalIps: ips("10.96.0.2") });
    const engine = engineOf([thief, slice([HERE]), other({}), otherSlice]);
    expect(hit(engine, POD, "10.96.0.2:80")).toBe("10.2.0.9:8080");
    expect(problemsOf(engine)).toEqual(["s: TAKEN spec.externalIPs (part-ignored)"]);
  });

  it("may share an address with different ports", () => {
    const externalIps = ips("198.51.100.1");
    const engine = engineOf([
      service({ externalIps }),
      slice([HERE]),
      other({ externalIps, ports: [{ name: "http", protocol: "TCP", port: 81 }] }),
      otherSlice,
    ]);
    expect([80, 81].map((p) => hit(engine, POD, `198.51.100.1:${p}`))).toEqual(["10.1.0.1:8080", "10.2.0.9:8080"]);
    expect(problemsOf(engine)).toEqual([]);
  });
});

describe("addresses", () => {
  it("a cluster IP outside the service range is served and named, until the range is there", () => {
    const engine = engineOf([service({ clusterIps: ips("10.97.0.1") }), slice([HERE])]);
    expect(problemsOf(engine)).toEqual(["s: OUTSIDE_RANGE spec.clusterIPs (none)"]);
    expect(hit(engine, POD, "10.97.0.1:80")).toBe("10.1.0.1:8080");
    engine.apply([cidrInput("more", "10.97.0.0/24")]);
    expect(problemsOf(engine)).toEqual([]);
  });

  it("an external IP that is a node's own is named, and served or not, as configured", () => {
    const inputs = [service({ externalIps: ips("192.168.0.2") }), slice([HERE])];
    const [serves, ignores] = [engineOf(inputs), engineOf(inputs, { nodeExternalIps: "ignore" })];
    expect(problemsOf(serves)).toEqual(["s: NODE_ADDRESS spec.externalIPs (none)"]);
    expect(hit(serves, POD, "192.168.0.2:80")).toBe("10.1.0.1:8080");
    expect(problemsOf(ignores)).toEqual(["s: NODE_ADDRESS spec.externalIPs (part-ignored)"]);
    expect(hit(ignores, POD, "192.168.0.2:80")).toBe("not-a-service");
    ignores.apply([nodeInput("n2", ["192.168.0.3"])]);
    expect(hit(ignores, POD, "192.168.0.2:80")).toBe("10.1.0.1:8080");
    expect(problemsOf(ignores)).toEqual([]);
  });

  it("of a family that the service is not of, or special ones, are left out", () => {
    const engine = engineOf([
      service({ externalIps: ips("2001:db8::1", "169.254.169.254", "198.51.100.1") }),
      slice([HERE]),
    ]);
    expect(engine.rows().frontends.map((f) => f.key)).toEqual(["4/TCP/10.96.0.1/80", "4/TCP/198.51.100.1/80"]);
    expect(problemsOf(engine)).toEqual([
      "s: SPECIAL_ADDRESS spec.externalIPs (part-ignored)",
      "s: FOREIGN_FAMILY spec.externalIPs (part-ignored)",
    ]);
  });

  it("the same port twice in a service: the first is served", () => {
    const ports = ["http", "b"].map((name) => ({ name, protocol: "TCP" as const, port: 80 }));
    const engine = engineOf([service({ ports }), slice([HERE])]);
    expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
    expect(problemsOf(engine)).toEqual(["s: PORT_TWICE spec.clusterIPs (part-ignored)"]);
  });
});

describe("source ranges", () => {
  const restricted = (...sourceRanges: string[]) => {
    const [clusterIps, loadBalancerIps] = [ips("10.96.0.1", "fd00:96::1"), ips("198.51.100.1", "2001:db8::1")];
    const lb = service({ type: "LoadBalancer", clusterIps, loadBalancerIps, sourceRanges });
    return engineOf([lb, slice([HERE]), slice([endpoint("fd00:1::1")], { name: "s-2" })]);
  };

  it("that are none are named; if there is no other, nobody is let in", () => {
    const engine = restricted("rubbish", "203.0.113.0/24", "fd00::/8");
    expect(problemsOf(engine)).toEqual(["s: BAD_NETWORK spec.loadBalancerSourceRanges (part-ignored)"]);
    expect(hit(engine, OUTSIDE, "198.51.100.1:80")).toBe("10.1.0.1:8080*");
    expect(hit(restricted("rubbish"), OUTSIDE, "198.51.100.1:80")).toBe("drop");
  });

  it("of one family leave the other open, which is named", () => {
    const engine = restricted("203.0.113.0/24");
    expect(problemsOf(engine)).toEqual(["s: UNRESTRICTED_FAMILY spec.loadBalancerSourceRanges (none)"]);
    expect(hit(engine, "2001:db8:9::1", "[2001:db8::1]:80")).toBe("[fd00:1::1]:8080*");
  });
});

it("names annotations, service CIDRs and load balancers that make no sense, and services that can't be read", () => {
  const damaged = { kind: "service", at: { namespace: "x", name: "u" }, object: { unreadable: "why" } } as const;
  const engine = engineOf([
    service({ annotations: { "heddle.dev/lb": "best" }, type: "LoadBalancer", externalTrafficPolicy: "Local" }),
    slice([HERE]),
    cidrInput("c", "10.98.0.0/24", "rubbish"),
    damaged,
  ]);
  expect(problemsOf(engine).sort()).toEqual(
    [
      "c: BAD_NETWORK spec.cidrs (part-ignored)",
      's: BAD_ANNOTATION metadata.annotations["heddle.dev/lb"] (part-ignored)',
      "s: NO_HEALTH_CHECK spec.healthCheckNodePort (none)",
      "u: UNREADABLE  (ignored)",
    ].sort(),
  );
  expect(hit(engine, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
});
