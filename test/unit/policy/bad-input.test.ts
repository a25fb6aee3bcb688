import { describe, expect, it } from "vitest";
import { World } from "../../support/policy-oracle/world.ts";

const policy = (spec: string): string => `
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {matchLabels: {pod: a}}, ${spec}}`;

const GOOD = "{podSelector: {matchLabels: {pod: b}}}";

describe("a NetworkPolicy's bad parts are named, allow nothing, and leave the rest in force", () => {
  it.each<readonly [at: string, message: string, spec: string, who: string]>([
    [
      "ingress[0].from[0].ipBlock.cidr",
      "not an address/prefix",
      `ingress: [{from: [{ipBlock: {cidr: rubbish}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].ipBlock.cidr",
      "prefix length 33",
      `ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].ipBlock.cidr",
      "IPv4 network written as IPv6",
      `ingress: [{from: [{ipBlock: {cidr: "::ffff:10.0.0.0/104"}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].ipBlock.except[1]",
      "not inside 10.0.0.0/8",
      `ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.3.0/24, 11.0.0.0/8]}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].ipBlock.except[0]",
      "not inside 10.0.0.0/8",
      `ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: ["fd00::/8"]}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0]",
      "can't be combined",
      `ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}, ${GOOD}]}]`,
      "x/b",
    ],
    ["ingress[0].from[0]", "the peer is empty", `ingress: [{from: [{}, ${GOOD}]}]`, "x/b"],
    ["ingress[0].from[0].fqdns", "unknown", `ingress: [{from: [{fqdns: [a.example]}, ${GOOD}]}]`, "x/b"],
    [
      "ingress[0].from[0].podSelector.matchExpressions[0].operator",
      '"Gt" is not In',
      `ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: Gt, values: ["1"]}]}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].podSelector.matchExpressions[0].values",
      "In needs values",
      `ingress: [{from: [{podSelector: {matchExpressions: [{key: a, operator: In}]}}, ${GOOD}]}]`,
      "x/b",
    ],
    [
      "ingress[0].from[0].podSelector.matchExpressions",
      "unknown, or its type is wrong",
      `ingress: [{from: [{podSelector: {matchExpressions: 5}}, ${GOOD}]}]`,
      "x/b",
    ],
    ["ingress[0].from", "unknown, or its type is wrong", "ingress: [{from: all}]", ""],
    ["ingress[0].sourcePorts", "unknown", "ingress: [{sourcePorts: [1]}]", ""],
    ["ingress[0].ports[0].port", "65536 is not between", "ingress: [{ports: [{port: 65536}]}]", ""],
    ["ingress[0].ports[0].port", "0 is not between", "ingress: [{ports: [{port: 0}]}]", ""],
    ["ingress[0].ports[0].endPort", "79 is less than port 80", "ingress: [{ports: [{port: 80, endPort: 79}]}]", ""],
    ["ingress[0].ports[0].endPort", "needs a port", "ingress: [{ports: [{endPort: 90}]}]", ""],
    [
      "ingress[0].ports[0].endPort",
      "can't follow a named port",
      "ingress: [{ports: [{port: serve-80-tcp, endPort: 90}]}]",
      "",
    ],
    ["ingress[0].ports[0].port", "can't be the name of a port", 'ingress: [{ports: [{port: "80"}]}]', ""],
    ["ingress[0].ports[0].protocol", '"ICMP" is not TCP', "ingress: [{ports: [{protocol: ICMP}]}]", ""],
    [
      "policyTypes[1]",
      '"Sideways" is not Ingress',
      `policyTypes: [Ingress, Sideways], ingress: [{from: [${GOOD}]}]`,
      "x/b",
    ],
    ["schedule", "unknown", "schedule: nightly, ingress: [{}]", ""],
  ])("%s: %s", (at, message, spec, who) => {
    const world = new World(policy(spec));
    const problems = world.engine.policies.problems().flatMap((p) => p.problems);
    expect(problems.map((p) => p.at)).toContain(`spec.${at}`);
    expect(problems.find((p) => p.at === `spec.${at}`)?.message).toContain(message);
    expect(world.whoReaches("x/a", "TCP/80")).toBe(who);
  });

  it("a type that is unknown isolates in both directions", () => {
    const world = new World(policy("policyTypes: [Sideways], ingress: [{}], egress: [{}]"));
    expect([world.whoReaches("x/a", "TCP/80"), world.whomReaches("x/a", "TCP/80")]).toEqual(["", ""]);
  });
});

describe("a policy whose pods can't be told", () => {
  it("isolates its namespace, and allows nothing", () => {
    const world = new World(policy("ingress: [{}]").replace("{matchLabels: {pod: a}}", "{matchLabels: {pod: '!'}}"));
    expect(world.whoReaches("x/c", "TCP/80")).toBe("");
    expect(world.whoReaches("y/c", "TCP/80")).not.toBe("");
  });

  it("does so too if it can't be read at all", () => {
    const world = new World();
    const at = { namespace: "x", name: "p" };
    const { problems } = world.apply([{ kind: "networkpolicy", at, object: { unreadable: "version 9" } }]);
    expect(problems.map((c) => c.new?.problems)).toEqual([[{ at: "", message: "version 9", effect: "isolates" }]]);
    expect([world.whoReaches("x/c", "TCP/80"), world.whomReaches("x/c", "TCP/80")]).toEqual(["", ""]);
    const gone = world.apply([{ kind: "networkpolicy", at, object: undefined }]);
    expect(gone.problems.map((c) => [c.old === undefined, c.new])).toEqual([[false, undefined]]);
    expect(world.whoReaches("x/c", "TCP/80")).not.toBe("");
  });

  it("isolates the cluster if it is a ClusterNetworkPolicy that can't be read", () => {
    const world = new World();
    world.apply([
      { kind: "clusternetworkpolicy", at: { namespace: "", name: "c" }, object: { unreadable: "damaged" } },
    ]);
    expect(world.whoReaches("z/a", "TCP/80")).toBe("");
    expect(world.can("192.168.0.1", "z/a", "TCP/80")).toBe(true);
  });
});

describe("odd but valid", () => {
  it("requirements that contradict each other select nothing, and are pointed out", () => {
    const world = new World(
      policy("ingress: []").replace(
        "{matchLabels: {pod: a}}",
        "{matchLabels: {pod: a}, matchExpressions: [{key: pod, operator: NotIn, values: [a]}]}",
      ),
    );
    expect(world.whoReaches("x/a", "TCP/80")).not.toBe("");
    expect(world.engine.policies.problems()[0]?.problems[0]).toMatchObject({ at: "spec.podSelector", effect: "none" });
  });

  it("10,000 peers are enforced, every one", () => {
    const blocks = Array.from(
      { length: 10_000 },
      (_, i) => `{ipBlock: {cidr: 172.${16 + (i >> 14)}.${(i >> 6) & 255}.${(i & 63) * 4}/32}}`,
    );
    const world = new World(policy(`ingress: [{from: [${blocks.join(", ")}, ${GOOD}]}]`));
    expect(world.engine.policies.problems()[0]?.problems).toMatchObject([
      { at: "spec.ingress[0].from", effect: "none" },
    ]);
    const table = world.engine.rows().tables.find((t) => t.id === world.engine.row("x/a")?.ingress);
    const cidrs = table?.tiers[0]?.rules.flatMap((r) => (r.peer.kind === "blocks" ? r.peer.cidrs : []));
    expect(cidrs).toHaveLength(10_000);
    expect(world.can("172.16.0.4", "x/a", "TCP/80")).toBe(true);
    expect(world.can("172.16.0.5", "x/a", "TCP/80")).toBe(false);
  });
});
