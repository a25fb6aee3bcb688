import { describe, expect, it } from "vitest";
import type { HostPort } from "../../../src/pods/api.ts";
import type { ServiceInput } from "../../../src/services/api.ts";
import { explainHostPort, explainPod, listHostPorts } from "../../../src/services/host-ports.ts";
import { explanationText, listText } from "../../../src/services/text.ts";
import {
  changedKeys,
  endpoint,
  engineOf,
  HOST_POD,
  hit,
  hostPorts,
  ips,
  NODE,
  OUTSIDE,
  POD,
  problemsOf,
  service,
  slice,
  traceOf,
  without,
} from "../../support/services/objects.ts";

const NODE_PORT = { type: "NodePort", ports: [{ name: "http", protocol: "TCP", port: 80, nodePort: 8000 }] } as const;
const OWN: ServiceInput = { kind: "own-addresses", addresses: ips("192.168.0.1", "192.168.9.1", "fd01::1") };
const gone = (input: ServiceInput): ServiceInput => ({ ...input, object: undefined }) as ServiceInput;

describe("a pod's host port", () => {
  const engine = engineOf([OWN, hostPorts([{}, { hostPort: 8001, hostIp: "192.168.9.1" }])]);

  it.each([
    [OUTSIDE, "192.168.0.1:8000", "10.1.0.7:80"],
    [POD, "192.168.9.1:8000", "10.1.0.7:80"],
    [NODE, "192.168.0.1:8000", "10.1.0.7:80"],
    ["127.0.0.1", "127.0.0.1:8000", "10.1.0.7:80*"],
    ["10.1.0.7", "192.168.0.1:8000", "10.1.0.7:80*"],
    ["2001:db8::1", "[fd01::1]:8000", "[fd00:1::7]:80"],
    ["fd01::1", "[::1]:8000", "not-a-service"],
    [OUTSIDE, "192.168.9.1:8001", "10.1.0.7:80"],
    [OUTSIDE, "192.168.0.1:8001", "not-a-service"],
    [OUTSIDE, "192.168.0.1:8000/UDP", "not-a-service"],
    [OUTSIDE, "192.168.0.2:8000", "not-a-service"],
  ])("from %s to %s: %s", (from, to, expected) => {
    expect(hit(engine, from, to)).toBe(expected);
  });

  it("is traced in words", () => {
    expect(traceOf(engine, OUTSIDE, "192.168.0.1:8000").steps).toEqual([
      "203.0.113.5 is not of this node",
      "192.168.0.1:8000/TCP is a host port of pod x/p, port 80",
      "the pod has it for itself",
    ]);
  });

  it("comes and goes with the pod, and nothing else does", () => {
    const one = engineOf([service(), slice([endpoint("10.1.0.1")])]);
    expect(changedKeys(one.apply([hostPorts([{}])]))).toEqual(["+ 4/TCP/local/8000", "+ 6/TCP/local/8000"]);
    expect(changedKeys(one.apply([hostPorts([{}])]))).toEqual([]);
    expect(changedKeys(one.apply([hostPorts([{}], { ips: ["10.1.0.8"] })]))).toEqual([
      "~ 4/TCP/local/8000",
      "- 6/TCP/local/8000",
    ]);
    expect(changedKeys(one.apply([gone(hostPorts([{}]))]))).toEqual(["- 4/TCP/local/8000"]);
    expect(one.hostPortsOf(HOST_POD)).toEqual([]);
  });

  it("is of no service of the pod's name", () => {
    const one = engineOf([service({ name: "p" }), slice([endpoint("10.1.0.1")], { service: "p" }), hostPorts([{}])]);
    expect(hit(one, OUTSIDE, "192.168.0.1:8000")).toBe("10.1.0.7:80");
    expect(hit(one, POD, "10.96.0.1:80")).toBe("10.1.0.1:8080");
  });

  it("serves as long as the pod has it", () => {
    const { service: whose } = engine.hostPortsOf(HOST_POD)[0] ?? {};
    const serves = (protocol: "TCP" | "UDP", ip: string, port: number) =>
      whose && engine.serves(whose, protocol, ips(ip)[0] as never, port);
    expect([serves("TCP", "10.1.0.7", 80), serves("TCP", "10.1.0.7", 81)]).toEqual([true, false]);
    expect([serves("UDP", "10.1.0.7", 80), serves("TCP", "10.1.0.8", 80)]).toEqual([false, false]);
  });

  it("on ::1 leads nowhere, and that is said", () => {
    const one = engineOf([hostPorts([{ hostIp: "::1" }, { hostPort: 8001 }])]);
    expect(problemsOf(one)).toEqual(["p: SPECIAL_ADDRESS portMappings[0].hostIP (part-ignored)"]);
    expect(hit(one, OUTSIDE, "192.168.0.1:8001")).toBe("10.1.0.7:80");
  });
});

describe("where a service has the port", () => {
  const served: readonly ServiceInput[] = [service(NODE_PORT), slice([endpoint("10.1.0.1")])];

  it.each([
    ["before", [...served, OWN, hostPorts([{}])]],
    ["after", [OWN, hostPorts([{}]), ...served]],
  ])("the service has it, if it was there %s", (_when, inputs) => {
    const engine = engineOf([]);
    for (const input of inputs) engine.apply([input]);
    expect(hit(engine, POD, "192.168.0.1:8000")).toBe("10.1.0.1:8080");
    // Node ports are at the node's first addresses only.
    expect(hit(engine, POD, "192.168.9.1:8000")).toBe("10.1.0.7:80");
    expect(hit(engine, POD, "127.0.0.1:8000")).toBe("10.1.0.7:80");
    expect(hit(engine, "fd00:1::9", "[fd01::1]:8000")).toBe("[fd00:1::7]:80");
    expect(problemsOf(engine)).toEqual(["p: TAKEN portMappings[0].hostPort (part-ignored)"]);
    expect(engine.problems()[0]?.problems[0]?.message).toBe("192.168.0.1:8000/TCP is service x/s's (NodePort)");
  });

  it("the pod gets it when the service goes, and the problem is no more", () => {
    const engine = engineOf([...served, OWN, hostPorts([{}, { hostPort: 8001, hostIp: "192.168.0.1" }])]);
    const changes = engine.apply([without(service())]);
    expect(changedKeys(changes).filter((key) => key.includes("local") || key.endsWith(" p"))).toEqual([
      "~ 4/TCP/local/8000",
      "- p",
    ]);
    expect(hit(engine, POD, "192.168.0.1:8000")).toBe("10.1.0.7:80");
  });

  it("a host port of that one address is the service's, whatever kind of address it is", () => {
    for (const more of [
      NODE_PORT,
      { externalIps: ips("192.168.0.1"), ports: [{ ...NODE_PORT.ports[0], port: 8000 }] },
    ]) {
      const engine = engineOf([OWN, hostPorts([{ hostIp: "192.168.0.1" }])]);
      const settled = engine.apply([service(more), slice([endpoint("10.1.0.1")])]);
      expect(
        settled.frontends.filter(({ old, new: now }) => old?.kind === "HostPort" && now?.kind === "HostPort"),
      ).toEqual([]);
      expect(hit(engine, POD, "192.168.0.1:8000")).toBe("10.1.0.1:8080");
      expect(engine.hostPortsOf(HOST_POD)).toEqual([]);
      engine.apply([without(service())]);
      expect(hit(engine, POD, "192.168.0.1:8000")).toBe("10.1.0.7:80");
    }
  });

  it("node ports elsewhere leave it the port", () => {
    const engine = engineOf([...served, OWN, hostPorts([{}])], { nodePortAddresses: ["192.168.9.0/24"] });
    expect(hit(engine, POD, "192.168.9.1:8000")).toBe("10.1.0.1:8080");
    expect(hit(engine, POD, "192.168.0.1:8000")).toBe("10.1.0.7:80");
  });
});

describe("asked about host ports", () => {
  const ports: Partial<HostPort>[] = [{}, { protocol: "udp", hostPort: 53, hostIp: "192.168.0.1" }];
  const engine = engineOf([OWN, service(NODE_PORT), slice([endpoint("10.1.0.1")]), hostPorts(ports)]);

  it("a list names the pods", () => {
    expect(listText(listHostPorts(engine))).toBe(
      [
        "SERVICE  TYPE      ADDRESSES  PORTS                  READY",
        "pod/x/p  HostPort  -          80:8000/TCP,80:53/UDP  1/1    1 problem(s)",
      ].join("\n"),
    );
  });

  it.each(["pod/x/p", "pod/p"])("%s is explained", (of) => {
    const explained = explainPod(engine, of);
    expect(explained && explanationText(explained).split("\n")).toEqual([
      "pod x/p (HostPort), interface p1/eth0",
      "  at every IPv4 address of the node, port 8000/TCP (HostPort), but 192.168.0.1: 10.1.0.7:80/TCP",
      "  at every IPv6 address of the node, port 8000/TCP (HostPort): [fd00:1::7]:80/TCP",
      "  at 192.168.0.1:53/UDP (HostPort): 10.1.0.7:80/UDP",
      "problem: portMappings[0].hostPort: 192.168.0.1:8000/TCP is service x/s's (NodePort) (TAKEN, part-ignored)",
    ]);
  });

  it("so is what is at a socket, if it is one", () => {
    const at = (to: string, port: number) =>
      explainHostPort(engine, { to: ips(to)[0] as never, protocol: "TCP", port });
    expect(at("192.168.9.1", 8000)?.id).toBe(HOST_POD);
    expect(at("192.168.0.1", 8000)).toBeUndefined();
  });

  it("pods without are not known, services are another matter", () => {
    expect(() => explainPod(engine, "pod/x/q")).toThrow("there is no pod x/q with host ports on this node");
    expect(explainPod(engine, "x/p")).toBeUndefined();
  });
});
