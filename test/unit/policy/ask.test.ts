import { describe, expect, it } from "vitest";
import { answerText } from "../../../src/policy/answer-text.ts";
import { answer } from "../../../src/policy/answers.ts";
import { AskError, editDistance, parseTraffic } from "../../../src/policy/ask.ts";
import { showPod } from "../../../src/policy/show.ts";
import { shownText } from "../../../src/policy/show-text.ts";
import { World } from "../../support/policy-oracle/world.ts";

const POLICIES = `
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {pod: a}}
  ingress:
  - {from: [{podSelector: {matchLabels: {pod: c}}}], ports: [{port: 100, endPort: 200}, {port: serve-80-tcp}]}
  - {from: [{ipBlock: {cidr: 10.0.2.0/24}}, {namespaceSelector: {}, podSelector: {matchExpressions: [{key: pod, operator: NotIn, values: [b, c]}]}}]}
---
kind: NetworkPolicy
metadata: {namespace: x, name: odd}
spec: {podSelector: {matchLabels: {pod: a}}, ingress: [{ports: [{port: nothing}, {port: 99999}]}]}
---
kind: ClusterNetworkPolicy
metadata: {name: no-z}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {matchLabels: {ns: x}}}
  ingress: [{name: not-from-z, action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}]}]`;

describe("traffic is written as", () => {
  it.each([
    ["80/tcp", { kind: "port", protocol: "TCP", port: 80 }],
    ["80", { kind: "port", protocol: "TCP", port: 80 }],
    ["53/UDP", { kind: "port", protocol: "UDP", port: 53 }],
    ["http/tcp", { kind: "name", name: "http", protocol: "TCP" }],
    ["http", { kind: "name", name: "http" }],
    ["sctp", { kind: "protocol", protocol: "SCTP" }],
    ["icmp", { kind: "portless" }],
    ["ICMPv6", { kind: "portless" }],
  ])("%s", (text, expected) => {
    expect(parseTraffic(text)).toEqual(expected);
  });

  it.each([
    ["", "neither a port"],
    ["80/tcp/x", "neither a port"],
    ["80/gre", '"gre" has no ports'],
    ["0/tcp", "from 1 to 65535"],
    ["65536", "from 1 to 65535"],
    ["-1", "from 1 to 65535"],
    ["a b", "can't be a port's name"],
  ])("not as %j", (text, message) => {
    expect(() => parseTraffic(text)).toThrow(message);
  });
});

describe("an answer", () => {
  const { engine } = new World(POLICIES);
  const ask = (from: string, to: string, traffic: string) => answer(engine, { from, to, traffic });

  it("is text that names both ends, the verdict and whose it is", () => {
    expect(answerText(ask("z/c", "x/a", "serve-80-tcp"))).toBe(
      [
        "z/c (10.0.3.3) to x/a (10.0.1.1), TCP 80: DENIED",
        "  out of z/c: allowed: no policy is about this",
        "  into x/a: denied by ClusterNetworkPolicy no-z, ingress[0] (not-from-z)",
        "",
        "z/c (fd00::3:3) to x/a (fd00::1:1), TCP 80: DENIED",
        "  out of z/c: allowed: no policy is about this",
        "  into x/a: denied by ClusterNetworkPolicy no-z, ingress[0] (not-from-z)",
      ].join("\n"),
    );
  });

  it("tells ranges of ports apart that policies tell apart, each family for itself", () => {
    const { allowed, flows } = ask("x/c", "x/a", "tcp");
    expect(allowed).toBe(false);
    expect(flows.filter((f) => f.family === 6).map((f) => [f.ports, f.ingress.rule])).toEqual([
      [{ first: 1, last: 79 }, undefined],
      [{ first: 80, last: 80 }, 0],
      [{ first: 81, last: 99 }, undefined],
      [{ first: 100, last: 200 }, 0],
      [{ first: 201, last: 65_535 }, undefined],
    ]);
    expect(ask("y/b", "x/a", "udp").flows.map((f) => [f.family, f.ports, f.allowed])).toEqual([
      [4, { first: 1, last: 65_535 }, true],
      [6, { first: 1, last: 65_535 }, false],
    ]);
  });

  it("for a name without a protocol is about all ports of that name", () => {
    const both = new World();
    const pod = both.pod("x/b");
    const ports = [
      { name: "dns", protocol: "TCP" as const, port: 53 },
      { name: "dns", protocol: "UDP" as const, port: 53 },
    ];
    both.apply([{ kind: "pod", at: pod, object: { ...pod, ports } }]);
    const { flows } = answer(both.engine, { from: "x/a", to: "x/b", traffic: "dns" });
    expect(flows.map((f) => `${f.protocol} ${f.family}`)).toEqual(["TCP 4", "UDP 4", "TCP 6", "UDP 6"]);
  });

  it.each<readonly [from: string, to: string, traffic: string, code: string, message: string]>([
    ["x/aa", "x/a", "80", "NO_POD", "there is no pod x/aa; is it x/a"],
    ["q/a", "x/a", "80", "NO_POD", "there is no namespace q; is it x/a, y/a, z/a?"],
    ["a", "x/a", "80", "BAD_QUESTION", "several pods have the name a: x/a, y/a, z/a; say which"],
    ["webserver", "x/a", "80", "NO_POD", "there is no pod webserver in any namespace"],
    ["x/a/b", "x/a", "80", "BAD_QUESTION", "is no address, pod"],
    ["x/b", "x/a", "http", "BAD_QUESTION", "pod x/a has no port named http; it has serve-80-tcp (TCP 80)"],
    ["x/b", "192.0.2.1", "http", "BAD_QUESTION", "its ports have no names"],
  ])("%s to %s, %s: %s", (from, to, traffic, code, message) => {
    let error: unknown;
    try {
      ask(from, to, traffic);
    } catch (e) {
      error = e;
    }
    expect(error).toBeInstanceOf(AskError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it("is none where nothing is to be judged, and says why", () => {
    const none = ask("192.0.2.1", "fd00::1:1", "80");
    expect([none.allowed, none.flows]).toEqual([undefined, []]);
    expect(answerText(none)).toContain("nothing to judge: the ends have no address of the same family");
  });
});

describe("a shown pod", () => {
  it("has its rules in order, in words, and what is wrong with them", () => {
    const { engine } = new World(POLICIES);
    expect(shownText(showPod(engine, "x/a"))).toBe(
      [
        "pod x/a",
        "  addresses: 10.0.1.1, fd00::1:1",
        "  node:      n1, Running",
        "  labels:    pod=a",
        "ingress: what no rule allows is denied",
        "  ClusterNetworkPolicy no-z (Admin, priority 5)",
        "    [0] not-from-z: deny all traffic from all pods in namespaces ns=z (3 now)",
        "  NetworkPolicy x/odd",
        '    [0] accept port "nothing" of TCP, which the pod does not have from everyone',
        "  NetworkPolicy x/web",
        '    [0] accept TCP 100-200, port "serve-80-tcp" of TCP: TCP 80 from pods pod=c in namespace x (1 now)',
        "    [1] accept all traffic from 10.0.2.0/24; pods pod notin (b,c) in all namespaces (3 now)",
        "egress: everything is allowed, no policy is about it",
        "problems of NetworkPolicy x/odd:",
        "  spec.ingress[0].ports[1].port: 99999 is not between 1 and 65535 (part-ignored)",
      ].join("\n"),
    );
  });

  it("that is on its node's network, or that nothing is known of, says so", () => {
    const world = new World(POLICIES);
    world.apply([
      { kind: "pod", at: { namespace: "y", name: "a" }, object: { ...world.pod("y/a"), hostNetwork: true } },
      { kind: "local", id: "y/a", object: undefined },
      { kind: "pod", at: { namespace: "x", name: "a" }, object: { unreadable: "damaged" } },
    ]);
    expect(shownText(showPod(world.engine, "y/a"))).toContain("on its node's network: no policy is about it");
    const unknown = showPod(world.engine, "x/a");
    expect(unknown).toMatchObject({
      isolated: "unreadable-object",
      unreadable: "damaged",
      ips: ["10.0.1.1", "fd00::1:1"],
    });
    expect(shownText(unknown)).toContain("its object can't be read: damaged");
  });
});

it("edit distances stop where they are too large to matter", () => {
  expect(editDistance("web", "web", 2)).toBe(0);
  expect(editDistance("web", "wep", 2)).toBe(1);
  expect(editDistance("client", "cleint", 2)).toBe(2);
  expect(editDistance("web", "database", 2)).toBeGreaterThan(2);
});
