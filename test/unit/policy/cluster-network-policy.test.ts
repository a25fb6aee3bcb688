import { describe, expect, it } from "vitest";
import { World } from "../../support/policy-oracle/world.ts";

const cnp = (name: string, tier: string, priority: number, rest: string): string => `
kind: ClusterNetworkPolicy
metadata: {name: ${name}}
spec:
  tier: ${tier}
  priority: ${priority}
  subject: {pods: {namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}}
${rest.replaceAll(/^/gm, "  ")}`;

const np = (rest: string): string => `
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {}, ${rest}}`;

const all = (...documents: string[]): World => new World(documents.join("\n---"));
const fromY = (action: string, more = ""): string =>
  `ingress: [{action: ${action}, from: [{namespaces: {matchLabels: {ns: y}}}]${more}}]`;
const EVERYONE = "x/b x/c y/a y/b y/c z/a z/b z/c";
const NOT_Y = "x/b x/c z/a z/b z/c";

describe("tiers: who reaches x/a on TCP 80", () => {
  it.each<readonly [name: string, documents: readonly string[], who: string]>([
    ["no isolation by a policy without a match", [cnp("c", "Admin", 1, fromY("Accept"))], EVERYONE],
    ["Deny", [cnp("c", "Admin", 1, fromY("Deny"))], NOT_Y],
    [
      "Admin Deny before a NetworkPolicy that allows",
      [cnp("c", "Admin", 1, fromY("Deny")), np("ingress: [{}]")],
      NOT_Y,
    ],
    [
      "Admin Accept before one that isolates",
      [cnp("c", "Admin", 1, fromY("Accept")), np("ingress: []")],
      "y/a y/b y/c",
    ],
    ["Admin Pass leaves it to the NetworkPolicy", [cnp("c", "Admin", 1, fromY("Pass")), np("ingress: []")], ""],
    [
      "Pass skips what follows in its tier",
      [cnp("c", "Admin", 1, fromY("Pass")), cnp("d", "Admin", 2, fromY("Deny"))],
      EVERYONE,
    ],
    [
      "Pass goes on to the Baseline tier",
      [cnp("c", "Admin", 1, fromY("Pass")), cnp("d", "Baseline", 0, fromY("Deny"))],
      NOT_Y,
    ],
    ["Baseline Deny", [cnp("c", "Baseline", 1, fromY("Deny"))], NOT_Y],
    ["a NetworkPolicy before the Baseline", [cnp("c", "Baseline", 1, fromY("Deny")), np("ingress: [{}]")], EVERYONE],
    [
      "a NetworkPolicy for egress leaves ingress to the Baseline",
      [cnp("c", "Baseline", 1, fromY("Deny")), np("policyTypes: [Egress]")],
      NOT_Y.replace("x/b x/c ", ""),
    ],
    [
      "the lower priority value first",
      [cnp("c", "Admin", 20, fromY("Deny")), cnp("d", "Admin", 3, fromY("Accept"))],
      EVERYONE,
    ],
    [
      "the upper rule first",
      [
        cnp(
          "c",
          "Admin",
          1,
          "ingress:\n- {action: Accept, from: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}}]}\n- {action: Deny, from: [{namespaces: {}}]}",
        ),
      ],
      "x/b y/b z/b",
    ],
    ["ports", [cnp("c", "Admin", 1, fromY("Deny", ", protocols: [{tcp: {destinationPort: {number: 80}}}]"))], NOT_Y],
    [
      "a range of ports",
      [cnp("c", "Admin", 1, fromY("Deny", ", protocols: [{tcp: {destinationPort: {range: {start: 79, end: 81}}}}]"))],
      NOT_Y,
    ],
    [
      "another protocol",
      [cnp("c", "Admin", 1, fromY("Deny", ", protocols: [{udp: {destinationPort: {number: 80}}}]"))],
      EVERYONE,
    ],
    [
      "a named port",
      [cnp("c", "Admin", 1, fromY("Deny", ", protocols: [{destinationNamedPort: serve-80-tcp}]"))],
      NOT_Y,
    ],
    [
      "a named port elsewhere",
      [cnp("c", "Admin", 1, fromY("Deny", ", protocols: [{destinationNamedPort: serve-81-tcp}]"))],
      EVERYONE,
    ],
  ])("%s", (_name, documents, who) => {
    // Those of x that are isolated for egress themselves are not the question here.
    expect(all(...documents).whoReaches("x/a", "TCP/80")).toBe(who);
  });
});

describe("egress", () => {
  it("knows networks, pods within them too", () => {
    const world = all(
      cnp("c", "Admin", 1, 'egress: [{action: Deny, to: [{networks: ["10.0.2.0/24", "192.0.2.0/24"]}]}]'),
    );
    expect(world.whomReaches("x/a", "TCP/80")).toBe(NOT_Y);
    expect(world.can("x/a", "192.0.2.7", "ICMP")).toBe(false);
    expect(world.can("x/a", "198.51.100.1", "TCP/80")).toBe(true);
  });

  it("takes a named port from the destination", () => {
    const world = all(
      cnp(
        "c",
        "Admin",
        1,
        "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: serve-80-tcp}]}]",
      ),
    );
    expect(world.whomReaches("x/a", "TCP/80")).toBe("");
    expect(world.whomReaches("x/a", "UDP/80")).toBe(EVERYONE);
  });

  it("can be denied towards the own node", () => {
    const world = all(cnp("c", "Admin", 1, 'egress: [{action: Deny, to: [{networks: ["192.168.0.0/24"]}]}]'));
    expect(world.can("x/a", "192.168.0.1", "TCP/10250")).toBe(false);
  });
});

describe("what can't be understood fails closed", () => {
  const peers = "from: [{namespaces: {matchLabels: {ns: y}}}, {serviceAccounts: {}}]";

  it("an Accept rule matches nothing", () => {
    const world = all(cnp("c", "Admin", 1, `ingress: [{action: Accept, ${peers}}]`), np("ingress: []"));
    expect(world.whoReaches("x/a", "TCP/80")).toBe("");
  });

  it.each(["Deny", "Pass"])("a %s rule denies all", (action) => {
    const world = all(cnp("c", "Admin", 1, `ingress: [{action: ${action}, ${peers}}]`));
    expect(world.whoReaches("x/a", "TCP/80")).toBe("");
    expect(world.whoReaches("x/b", "TCP/80")).toBe("x/a x/c y/a y/b y/c z/a z/b z/c");
    expect(world.can("192.168.0.1", "x/a", "TCP/80")).toBe(true);
  });

  it("a subject that is not known may be any pod", () => {
    const world = new World(`
kind: ClusterNetworkPolicy
metadata: {name: c}
spec: {tier: Baseline, priority: 1, subject: {nodes: {}}, ingress: [{action: Deny, from: [{namespaces: {matchLabels: {ns: y}}}]}]}`);
    expect(world.whoReaches("z/c", "TCP/80")).toBe("");
    expect(world.engine.policies.problems()).toEqual([
      {
        policy: { kind: "ClusterNetworkPolicy", namespace: "", name: "c" },
        problems: [
          { at: "spec.subject.nodes", message: "the member is unknown, or its type is wrong", effect: "isolates" },
        ],
      },
    ]);
  });

  it("comes before everything else, as its place is not known either", () => {
    const unknown = cnp("d", "Admin", 9, fromY("Deny")).replace("priority: 9", "priority: 9\n  until: tomorrow");
    const world = all(cnp("c", "Admin", 1, fromY("Accept")), unknown);
    expect(world.whoReaches("x/a", "TCP/80")).toBe("");
  });
});

it("tables leave out what is never reached, so that more pods share them", () => {
  const world = all(np("ingress: []"));
  const before = world.engine.row("x/a")?.ingress;
  world.put(cnp("c", "Baseline", 1, fromY("Deny")));
  expect(world.engine.row("x/a")?.ingress).toBe(before);
  world.put(cnp("d", "Admin", 1, "ingress:\n- {action: Deny, from: [{namespaces: {}}]}"));
  const table = world.engine.rows().tables.find((t) => t.id === world.engine.row("x/a")?.ingress);
  expect(table?.tiers.map((t) => t.name)).toEqual(["Admin", "NetworkPolicy"]);
});
