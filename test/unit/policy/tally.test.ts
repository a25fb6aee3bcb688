import { describe, expect, it } from "vitest";
import type { RuleCount, TableId } from "../../../src/policy/api.ts";
import { Attribution } from "../../../src/policy/attribution.ts";
import { policyMetrics } from "../../../src/policy/metrics.ts";
import { Tally } from "../../../src/policy/tally.ts";
import { World } from "../../support/policy-oracle/world.ts";

/** Two policies of x/a that say the same in part, and one of y/a that says all of that. */
const POLICIES = `
kind: NetworkPolicy
metadata: {namespace: x, name: p}
spec: {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{ipBlock: {cidr: 10.0.2.0/24}}], ports: [{port: 80}]}]}
---
kind: NetworkPolicy
metadata: {namespace: x, name: q}
spec: {podSelector: {matchLabels: {pod: a}}, ingress: [{}, {from: [{ipBlock: {cidr: 10.0.2.0/24}}]}]}
---
kind: NetworkPolicy
metadata: {namespace: y, name: r}
spec: {podSelector: {matchLabels: {pod: a}}, ingress: [{}]}
---
kind: NetworkPolicy
metadata: {namespace: z, name: none}
spec: {podSelector: {}}`;

function setUp() {
  const world = new World(POLICIES);
  const { engine } = world;
  const attribution = new Attribution();
  const tally = new Tally();
  const tableOf = (id: string): TableId => {
    const row = engine.row(id);
    if (!row) throw new Error(id);
    return row.ingress;
  };
  const read = (...rules: RuleCount[]) => {
    const origins = attribution.tables(engine);
    const tables = new Map([...origins.keys()].flatMap((id) => (engine.table(id) ? [[id, engine.table(id)!]] : [])));
    tally.add({ rules }, tables, origins);
    return tally.entries();
  };
  return { world, engine, attribution, tally, tableOf, read };
}

const count = (table: TableId, rule: number | "end", packets: number, tier = 0): RuleCount => ({
  ...{ table, tier, rule, packets },
  bytes: packets * 10,
});

describe("whose a rule is", () => {
  it("is all policies that say the same, of all pods that share it", () => {
    const { attribution, engine, tableOf } = setUp();
    expect(tableOf("x/a")).toBe(tableOf("y/a"));
    const rule = attribution.tables(engine).get(tableOf("x/a"))?.tiers[0]?.rules[0];
    expect(rule?.map((o) => `${o.policy.name} ${o.rule}`)).toEqual(["q 0", "r 0"]);
  });

  it("is told for the end of a tier, too: those that isolate", () => {
    const { attribution, engine, tableOf } = setUp();
    expect(
      attribution
        .tables(engine)
        .get(tableOf("z/b"))
        ?.tiers[0]?.end.map((p) => p.name),
    ).toEqual(["none"]);
  });

  it("follows the policies", () => {
    const { attribution, engine, tableOf, world } = setUp();
    attribution.tables(engine);
    world.apply([{ kind: "networkpolicy", at: { namespace: "x", name: "q" }, object: undefined }]);
    const rules = attribution.tables(engine).get(tableOf("x/a"))?.tiers[0]?.rules;
    expect(rules?.map((list) => list.map((o) => o.policy.name))).toEqual([["p"]]);
  });
});

describe("what was counted", () => {
  it("adds up over readings, and over rules that come anew", () => {
    const { read, tableOf } = setUp();
    const table = tableOf("z/b");
    const packets = (n: number) => read(count(table, "end", n))[0]?.packets;
    expect(packets(5)).toBe(5);
    expect(packets(7)).toBe(7);
    expect(packets(3)).toBe(10);
    expect(read()).toMatchObject([{ packets: 10, verdict: "deny", direction: "ingress" }]);
    expect(packets(4)).toBe(14);
  });

  it("is kept apart by policies, and no longer than one of them is there", () => {
    const { read, tally, tableOf } = setUp();
    read(count(tableOf("z/b"), "end", 1), count(tableOf("x/a"), 0, 2));
    tally.forget((policy) => policy.name === "r");
    expect(tally.entries().map((e) => [e.origins.map((o) => o.policy.name), e.packets])).toEqual([[["q", "r"], 2]]);
  });

  it("becomes metrics in which nothing is counted twice", () => {
    const { engine, read, tableOf } = setUp();
    const rules = read(count(tableOf("z/b"), "end", 1), count(tableOf("x/a"), 0, 2));
    const status = {
      ...{ problems: [], unreadable: [], unreadableKeys: [], missing: [] },
      connections: { rounds: 0, judged: 0, stopped: 0, resumed: 0 },
    };
    const metrics = policyMetrics(engine, status, { rules, pods: [] });
    const samples = (name: string) => metrics.find((m) => m.name === `heddle_policy_${name}`)?.samples;
    expect(samples("judged_packets_total")).toEqual([
      { labels: { policy: "NetworkPolicy x/q, NetworkPolicy y/r", direction: "ingress", verdict: "accept" }, value: 2 },
      { labels: { policy: "NetworkPolicy z/none", direction: "ingress", verdict: "deny" }, value: 1 },
    ]);
    expect(samples("policies")).toEqual([{ labels: { kind: "NetworkPolicy" }, value: 4 }]);
    expect(samples("isolated_pods")).toContainEqual({ labels: { direction: "ingress" }, value: 5 });
    expect(samples("denied_packets_total")).toBeUndefined();
  });
});
