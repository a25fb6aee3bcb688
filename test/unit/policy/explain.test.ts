import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import { type EndName, type ExplainedFlow, explain } from "../../../src/policy/explain.ts";
import { World } from "../../support/policy-oracle/world.ts";

const POLICIES = `
kind: NetworkPolicy
metadata: {namespace: x, name: web}
spec:
  podSelector: {matchLabels: {pod: a}}
  ingress:
  - {from: [{podSelector: {matchLabels: {pod: c}}}]}
  - {from: [{namespaceSelector: {matchLabels: {ns: y}}}], ports: [{port: serve-80-tcp}]}
---
kind: ClusterNetworkPolicy
metadata: {name: no-z}
spec:
  tier: Admin
  priority: 5
  subject: {namespaces: {matchLabels: {ns: x}}}
  ingress: [{name: not-from-z, action: Deny, from: [{namespaces: {matchLabels: {ns: z}}}]}]`;

const end = (text: string): EndName => {
  const [namespace = "", name] = text.split("/");
  return name === undefined ? { ip: parseIp(text) } : { pod: { namespace, name } };
};
const flow = (world: World, from: string, to: string, port = 80): ExplainedFlow | undefined =>
  explain(world.engine, { from: end(from), to: end(to), protocol: "TCP", port }).flows[0];

describe("an explanation names", () => {
  const world = new World(POLICIES);
  const web = { kind: "NetworkPolicy", namespace: "x", name: "web" };
  const noZ = { kind: "ClusterNetworkPolicy", namespace: "", name: "no-z" };

  it("the rule that allows, at the end where it does", () => {
    expect(flow(world, "y/b", "x/a")).toEqual({
      family: 4,
      from: { ip: "10.0.2.2", pod: { namespace: "y", name: "b" } },
      to: { ip: "10.0.1.1", pod: { namespace: "x", name: "a" } },
      allowed: true,
      egress: { allowed: true, because: "default", tier: undefined, policies: [] },
      ingress: {
        allowed: true,
        because: "rule",
        tier: "NetworkPolicy",
        policy: web,
        rule: 1,
        ruleName: undefined,
        policies: [noZ, web],
      },
    });
  });

  it("the rule that denies", () => {
    expect(flow(world, "z/c", "x/a")?.ingress).toMatchObject({
      allowed: false,
      because: "rule",
      tier: "Admin",
      policy: noZ,
      rule: 0,
      ruleName: "not-from-z",
    });
  });

  it("isolation without a rule that allows, by which policies", () => {
    expect(flow(world, "y/b", "x/a", 81)?.ingress).toMatchObject({ because: "no-rule-allows", policies: [noZ, web] });
  });

  it("the node, and addresses that are nobody's", () => {
    expect(flow(world, "192.168.0.1", "x/a")).toMatchObject({
      from: { ip: "192.168.0.1", node: "n1" },
      egress: { because: "not-a-pod" },
      ingress: { allowed: true, because: "own-node" },
    });
    expect(flow(world, "192.0.2.1", "x/a")).toMatchObject({ allowed: false, from: { ip: "192.0.2.1" } });
    expect(flow(world, "x/a", "x/a")?.ingress.because).toBe("self");
  });

  it("both families where both ends have both", () => {
    const { flows } = explain(world.engine, { from: end("y/b"), to: end("x/a"), protocol: "TCP", port: 80 });
    expect(flows.map((f) => [f.family, f.allowed])).toEqual([
      [4, true],
      [6, true],
    ]);
  });

  it("why there is nothing to explain", () => {
    const ask = (from: string, to: string) => explain(world.engine, { from: end(from), to: end(to), port: 0 });
    expect(ask("x/nobody", "x/a").note).toBe("there is no pod x/nobody");
    expect(ask("fd00::77", "10.0.1.1").note).toContain("no address of the same family");
    const other = new World();
    const pod = { ...other.pod("y/a"), name: "new", uid: "new", ips: [] };
    other.apply([{ kind: "pod", at: pod, object: pod }]);
    expect(explain(other.engine, { from: end("y/new"), to: end("x/a"), port: 0 }).note).toContain("no address");
  });

  it("a pod that nothing is known of", () => {
    const other = new World();
    other.apply([{ kind: "pod", at: { namespace: "x", name: "a" }, object: undefined }]);
    expect(flow(other, "y/a", "x/a")?.ingress).toMatchObject({ because: "unknown-pod", isolated: "no-object" });
  });
});
