import { describe, expect, it } from "vitest";
import { World } from "../../support/policy-oracle/world.ts";

/** A policy on pod x/a; `spec` is YAML behind the podSelector. */
const onXa = (spec: string): string => `
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec:
  podSelector: {matchLabels: {pod: a}}
${spec.replaceAll(/^/gm, "  ")}`;

const EVERYONE = "x/b x/c y/a y/b y/c z/a z/b z/c";

describe("ingress: who reaches x/a on TCP 80", () => {
  it.each<readonly [name: string, spec: string, who: string]>([
    ["all without a policy that selects it", "policyTypes: [Egress]", EVERYONE],
    ["nobody without an ingress section", "", ""],
    ["nobody with an empty ingress section", "ingress: []", ""],
    ["all by an empty rule", "ingress: [{}]", EVERYONE],
    ["all by a rule with an empty from", "ingress: [{from: []}]", EVERYONE],
    ["all by a rule with empty ports", "ingress: [{ports: []}]", EVERYONE],
    ["nobody by rules that policyTypes does not name", "policyTypes: [Egress, Ingress]\negress: [{}]", ""],
    ["all where policyTypes leaves ingress out", "policyTypes: [Egress]\ningress: []", EVERYONE],
    ["pods of the own namespace", "ingress: [{from: [{podSelector: {}}]}]", "x/b x/c"],
    ["a pod of the own namespace", "ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]", "x/b"],
    ["all namespaces by an empty selector", "ingress: [{from: [{namespaceSelector: {}}]}]", EVERYONE],
    ["a namespace by label", "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]", "y/a y/b y/c"],
    [
      "a namespace by the label that all have",
      "ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}]",
      "z/a z/b z/c",
    ],
    [
      "namespace and pod selector in one peer: both",
      "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: b}}}]}]",
      "y/b",
    ],
    [
      "namespace and pod selector in two peers: either",
      "ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]",
      "x/b y/a y/b y/c",
    ],
    [
      "matchExpressions, all of them",
      "ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [y, z]}, {key: ns, operator: NotIn, values: [z]}]}, podSelector: {matchExpressions: [{key: pod, operator: Exists}, {key: other, operator: DoesNotExist}]}}]}]",
      "y/a y/b y/c",
    ],
    [
      "NotIn also matches what lacks the label",
      "ingress: [{from: [{podSelector: {matchExpressions: [{key: other, operator: NotIn, values: [v]}]}}]}]",
      "x/b x/c",
    ],
    ["a network", 'ingress: [{from: [{ipBlock: {cidr: "10.0.2.0/24"}}]}]', "y/a y/b y/c"],
    [
      "a network but for a part",
      'ingress: [{from: [{ipBlock: {cidr: "10.0.2.0/24", except: ["10.0.2.2/32"]}}]}]',
      "y/a y/c",
    ],
    [
      "an exception takes nothing from other peers",
      'ingress: [{from: [{ipBlock: {cidr: "10.0.0.0/8", except: ["10.0.2.0/24"]}}, {ipBlock: {cidr: "10.0.2.2/32"}}]}]',
      "x/b x/c y/b z/a z/b z/c",
    ],
    ["the port alone", "ingress: [{ports: [{port: 80}]}]", EVERYONE],
    ["not by another port", "ingress: [{ports: [{port: 81}]}]", ""],
    ["not by another protocol", "ingress: [{ports: [{port: 80, protocol: UDP}]}]", ""],
    ["every port of the protocol", "ingress: [{ports: [{protocol: TCP}]}]", EVERYONE],
    ["a range of ports", "ingress: [{ports: [{port: 79, endPort: 80}]}]", EVERYONE],
    ["a range that ends before", "ingress: [{ports: [{port: 78, endPort: 79}]}]", ""],
    ["a named port", "ingress: [{ports: [{port: serve-80-tcp}]}]", EVERYONE],
    ["not a named port of another protocol", "ingress: [{ports: [{port: serve-80-tcp, protocol: UDP}]}]", ""],
    ["not a named port that the pod lacks", "ingress: [{ports: [{port: nothing}]}]", ""],
    ["peers and ports of one rule together", "ingress: [{from: [{podSelector: {}}], ports: [{port: 81}]}]", ""],
    [
      "any one of several rules",
      "ingress: [{from: [{podSelector: {}}], ports: [{port: 81}]}, {from: [{namespaceSelector: {matchLabels: {ns: z}}}], ports: [{port: 80}]}]",
      "z/a z/b z/c",
    ],
  ])("%s", (_name, spec, who) => {
    expect(new World(onXa(spec)).whoReaches("x/a", "TCP/80")).toBe(who);
  });

  it("adds up the policies that select it", () => {
    const world = new World(onXa("ingress: [{from: [{podSelector: {}}]}]"));
    world.put(`
kind: NetworkPolicy
metadata: {namespace: x, name: q}
spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: z}}}]}]}`);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("x/b x/c z/a z/b z/c");
    expect(world.whoReaches("x/b", "TCP/80")).toBe("z/a z/b z/c");
  });

  it("concerns no pod of another namespace, and no other pod", () => {
    const world = new World(onXa(""));
    expect(world.whoReaches("y/a", "TCP/80")).toBe("x/a x/b x/c y/b y/c z/a z/b z/c");
    expect(world.whoReaches("x/b", "TCP/80")).toBe("x/a x/c y/a y/b y/c z/a z/b z/c");
  });
});

describe("egress: whom x/a reaches on TCP 80", () => {
  it.each<readonly [name: string, spec: string, whom: string]>([
    ["all with an ingress policy", "ingress: []", EVERYONE],
    ["all with an empty egress section and no policyTypes", "egress: []", EVERYONE],
    ["nobody where policyTypes names egress", "policyTypes: [Egress]", ""],
    ["by a section without policyTypes", "egress: [{to: [{podSelector: {}}]}]", "x/b x/c"],
    ["a network", 'egress: [{to: [{ipBlock: {cidr: "10.0.3.0/31"}}]}]', "z/a"],
    ["a named port, of each destination", "egress: [{ports: [{port: serve-80-tcp}]}]", EVERYONE],
    [
      "a named port of selected destinations",
      "egress: [{to: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: serve-80-tcp}]}]",
      "y/a y/b y/c",
    ],
    [
      "a named port of destinations in a network",
      'egress: [{to: [{ipBlock: {cidr: "10.0.0.0/8", except: ["10.0.2.0/24"]}}], ports: [{port: serve-80-tcp}]}]',
      "x/b x/c z/a z/b z/c",
    ],
  ])("%s", (_name, spec, whom) => {
    expect(new World(onXa(spec)).whomReaches("x/a", "TCP/80")).toBe(whom);
  });

  it("takes a named port's number from the destination", () => {
    const world = new World(onXa("egress: [{ports: [{port: web}]}]"));
    const pod = { ...world.pod("y/b"), ports: [{ name: "web", protocol: "TCP" as const, port: 8080 }] };
    world.apply([{ kind: "pod", at: pod, object: pod }]);
    const other = { ...world.pod("z/c"), ports: [{ name: "web", protocol: "TCP" as const, port: 9090 }] };
    world.apply([{ kind: "pod", at: other, object: other }]);
    expect(world.whomReaches("x/a", "TCP/8080")).toBe("y/b");
    expect(world.whomReaches("x/a", "TCP/9090")).toBe("z/c");
    expect(world.can("x/a", "192.0.2.1", "TCP/8080")).toBe(false);
  });

  it("reaches its own node under NetworkPolicies, and no other address", () => {
    const world = new World(onXa("policyTypes: [Egress]"));
    expect(world.can("x/a", "192.168.0.1", "TCP/10250")).toBe(true);
    expect(world.can("x/a", "192.168.0.2", "TCP/10250")).toBe(false);
  });
});

describe("protocols", () => {
  it("are told apart, and rules for ports let no other traffic through", () => {
    const world = new World(onXa("ingress: [{ports: [{protocol: SCTP, port: 80}]}]"));
    const got = ["TCP/80", "UDP/80", "SCTP/80", "SCTP/81", "ICMP"].filter((t) => world.can("y/a", "x/a", t));
    expect(got).toEqual(["SCTP/80"]);
  });

  it("are all meant by a rule without ports", () => {
    const world = new World(onXa("ingress: [{from: [{podSelector: {}}]}]"));
    for (const traffic of ["TCP/80", "UDP/80", "SCTP/80", "ICMP"]) {
      expect([world.can("x/b", "x/a", traffic), world.can("y/b", "x/a", traffic)]).toEqual([true, false]);
    }
  });

  it("holds for both families, each by its own addresses", () => {
    const world = new World(onXa('ingress: [{from: [{ipBlock: {cidr: "fd00::2:0/112"}}, {podSelector: {}}]}]'));
    expect([world.can("y/a", "x/a", "TCP/80", 6), world.can("y/a", "x/a", "TCP/80", 4)]).toEqual([true, false]);
    expect([world.can("x/b", "x/a", "TCP/80", 6), world.can("z/b", "x/a", "TCP/80", 6)]).toEqual([true, false]);
  });
});

describe("a pod", () => {
  it("always reaches itself, and is always reached by its own node only", () => {
    const world = new World(onXa("policyTypes: [Ingress, Egress]"));
    expect(world.can("x/a", "x/a", "TCP/80")).toBe(true);
    expect(world.can("192.168.0.1", "x/a", "TCP/80")).toBe(true);
    expect(world.can("192.168.0.2", "x/a", "TCP/80")).toBe(false);
  });
});
