import { expect, it } from "vitest";
import { PolicyEngine } from "../../../src/policy/engine.ts";
import { lint } from "../../../src/policy/lint.ts";
import { lintObjects } from "../../../src/policy/lint-objects.ts";
import { World } from "../../support/policy-oracle/world.ts";

const np = (name: string, spec: string): string => `
kind: NetworkPolicy
metadata: {namespace: x, name: ${name}}
spec: {${spec}}`;
const cnp = (name: string, rest: string): string => `
kind: ClusterNetworkPolicy
metadata: {name: ${name}}
spec: {tier: Admin, priority: 1, ${rest}}`;

it.each<readonly [kind: string, at: string, policies: string]>([
  [
    "invalid",
    "spec.ingress[0].from[0].ipBlock.cidr",
    np("p", "podSelector: {}, ingress: [{from: [{ipBlock: {cidr: x}}]}]"),
  ],
  ["selects-nothing", "spec.podSelector", np("p", "podSelector: {matchLabels: {pod: A}}")],
  ["odd", "spec.egress", np("p", "podSelector: {}, policyTypes: [Ingress], egress: [{}]")],
  [
    "peer-selects-nothing",
    "spec.ingress[0].from[0]",
    np("p", "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: prod}}}]}]"),
  ],
  [
    "selects-everything",
    "spec.podSelector",
    np("p", "podSelector: {matchExpressions: [{key: rool, operator: NotIn, values: [db]}]}"),
  ],
  [
    "allows-everything",
    "spec.ingress[1]",
    np("p", "podSelector: {}, ingress: [{from: [{podSelector: {}}]}, {from: []}]"),
  ],
  [
    "or-instead-of-and",
    "spec.ingress[0].from[1]",
    np(
      "p",
      "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}, {podSelector: {matchLabels: {pod: b}}}]}]",
    ),
  ],
  ["unknown-port", "spec.ingress[0].ports[0]", np("p", "podSelector: {}, ingress: [{ports: [{port: serve-80-tpc}]}]")],
  [
    "unknown-port",
    "spec.egress[0].ports[0]",
    np("p", "podSelector: {}, egress: [{to: [{podSelector: {}}], ports: [{port: serve-80-tcp, protocol: UDP}]}]"),
  ],
  [
    "same-priority",
    "spec.priority",
    [cnp("a", "subject: {namespaces: {matchLabels: {ns: x}}}"), cnp("b", "subject: {namespaces: {}}")].join("\n---"),
  ],
])("points out %s at %s", (kind, at, policies) => {
  const findings = lint(new World(policies).engine);
  expect(findings.map((f) => [f.kind, f.at])).toEqual([[kind, at]]);
});

it("has nothing to say about policies that are right", () => {
  const policies = [
    np("p", "podSelector: {}"),
    np(
      "q",
      "podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}, podSelector: {}}], ports: [{port: serve-80-tcp}]}]",
    ),
    np("r", "podSelector: {matchLabels: {pod: b}}, ingress: [{}]"),
    cnp(
      "c",
      "subject: {namespaces: {}}, ingress: [{action: Pass, from: [{namespaces: {}}], protocols: [{destinationNamedPort: serve-81-udp}]}]",
    ),
  ];
  expect(lint(new World(policies.join("\n---")).engine)).toEqual([]);
});

it("says nothing about what selectors find where no pods are known", () => {
  const engine = new PolicyEngine();
  const at = { namespace: "x", name: "p" };
  engine.apply([{ kind: "networkpolicy", at, object: { ...at, uid: "", podSelector: { matchLabels: { a: "b" } } } }]);
  expect(lint(engine)).toEqual([]);
});

it("looks at policies that are not applied in place of those of the same names, and says nothing about others", () => {
  const { engine } = new World(
    [cnp("a", "subject: {namespaces: {}}"), np("p", "podSelector: {matchLabels: {pod: A}}")].join("\n---"),
  );
  const given = (name: string) => ({
    ...{ namespace: "" as const, name, uid: "", tier: "Admin", priority: 1, subject: { namespaces: {} } },
  });
  const inputs = (name: string) => [{ kind: "clusternetworkpolicy" as const, at: given(name), object: given(name) }];
  expect(lintObjects(inputs("a"), engine)).toEqual([]);
  expect(lintObjects(inputs("0"), engine).map((f) => [f.kind, f.policy.name])).toEqual([["same-priority", "0"]]);
});

it("points out empty lists, which mean everyone, and namespaces that there are not", () => {
  const { engine } = new World();
  const at = { namespace: "q", name: "p" };
  const object = { ...at, uid: "", podSelector: {}, egress: [{ peers: [], ports: [] }] };
  const findings = lintObjects([{ kind: "networkpolicy", at, object }], engine);
  expect(findings.map((f) => `${f.at}: ${f.message}`)).toEqual([
    "spec.egress[0].ports: an empty list means all traffic, as if it were left out",
    "spec.egress[0].to: an empty list means everyone, as if it were left out",
    "spec.podSelector: no pod is selected: there is no namespace q",
  ]);
});
