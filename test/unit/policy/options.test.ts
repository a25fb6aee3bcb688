import { describe, expect, it } from "vitest";
import { parseIp } from "../../../src/base/ip/address.ts";
import type { NetworkPolicy } from "../../../src/models/k8s/network-policy.ts";
import { elementKey, type PolicyInput } from "../../../src/policy/api.ts";
import { type EngineOptions, PolicyEngine } from "../../../src/policy/engine.ts";
import { servingPod } from "../../support/policy-oracle/world.ts";

/** Two local pods, x/a and y/a, each with a policy of its own that says the same. */
function engineOf(policy: Partial<NetworkPolicy>, options: EngineOptions): PolicyEngine {
  const engine = new PolicyEngine(options);
  const inputs = ["x", "y"].flatMap((namespace, i): PolicyInput[] => {
    const pod = servingPod(namespace, "a", [parseIp(`10.0.0.${i + 1}`)]);
    const at = { namespace, name: "p" };
    const wiring = { id: namespace, namespace, name: "a", ips: pod.ips };
    return [
      {
        kind: "namespace",
        at: { namespace: "", name: namespace },
        object: { namespace: "", name: namespace, uid: "", labels: {} },
      },
      { kind: "pod", at: pod, object: pod },
      { kind: "local", id: namespace, object: wiring },
      { kind: "networkpolicy", at, object: { ...at, uid: "", podSelector: {}, ...policy } },
    ];
  });
  engine.apply(inputs);
  return engine;
}

const ONE_RULE = { ingress: [{ ports: [{ port: 80 }, { port: 81 }] }] };

describe("rules name their policies on request", () => {
  it("and then only pods with the same policies share tables", () => {
    const [plain, named] = [false, true].map((attribute) => engineOf(ONE_RULE, { attribute }));
    const ingress = (e: PolicyEngine | undefined) => e?.rows().tables.filter((t) => t.direction === "ingress") ?? [];
    expect(ingress(plain).map((t) => t.tiers[0]?.rules)).toEqual([
      [{ verdict: "accept", peer: { kind: "any" }, ports: [{ protocol: "TCP", first: 80, last: 81 }] }],
    ]);
    const origins = ingress(named).flatMap((t) => t.tiers[0]?.rules.map((r) => r.origin) ?? []);
    expect(origins.map((o) => `${o?.policy.namespace}/${o?.policy.name} ${o?.rule}`).sort()).toEqual([
      "x/p 0",
      "y/p 0",
    ]);
  });
});

describe("the own node as a destination", () => {
  const reaches = (options: EngineOptions) =>
    engineOf({ policyTypes: ["Egress"] }, options).verdict(
      "x",
      "egress",
      { peer: parseIp("192.168.0.1"), protocol: "TCP", port: 10_250 },
      (ip) => ip === "192.168.0.1",
    )?.verdict;

  it("is open to isolated pods unless policies are to be judged there too", () => {
    expect(reaches({})).toBe("accept");
    expect(reaches({ ownNodeEgress: "judge" })).toBe("deny");
  });
});

it("IDs say what is meant: equal on every node, and safe in names", () => {
  const policy = { ingress: [{ peers: [{ podSelector: {} }] }], egress: [{ ports: [{ port: "serve-80-tcp" }] }] };
  const [a, b] = [engineOf(policy, {}).rows(), engineOf(policy, {}).rows()];
  expect(a).toEqual(b);
  for (const { id } of [...a.tables, ...a.sets]) expect(id).toMatch(/^[tae][0-9a-f]{20}$/);
  const endpoints = a.sets.filter((s) => s.kind === "endpoints" && s.family === 4);
  expect(endpoints.map((s) => s.elements.map(elementKey))).toEqual([["10.0.0.1|TCP|80", "10.0.0.2|TCP|80"]]);
});

describe("a pod of which nothing has been seen", () => {
  const outcome = (options: EngineOptions, object?: { readonly unreadable: string }) => {
    const engine = engineOf(ONE_RULE, options);
    const ips = [parseIp("10.0.0.9")];
    engine.apply([
      { kind: "local", id: "new", object: { id: "new", namespace: "x", name: "new", ips } },
      ...(object ? [{ kind: "pod", at: { namespace: "x", name: "new" }, object } as const] : []),
    ]);
    const packet = { peer: parseIp("10.0.0.2"), protocol: "TCP", port: 9 } as const;
    const { isolated, openThough } = engine.row("new") ?? {};
    return { isolated, openThough, verdict: engine.verdict("new", "ingress", packet, () => false)?.verdict };
  };

  it("is isolated, or open where that was chosen", () => {
    expect(outcome({})).toEqual({ isolated: "no-object", verdict: "deny" });
    expect(outcome({ failMode: "open" })).toEqual({ openThough: "no-object", verdict: "accept" });
  });

  it("is isolated in any case if its object can't be read", () => {
    const unreadable = { unreadable: "not Protobuf" };
    expect(outcome({ failMode: "open" }, unreadable)).toEqual({ isolated: "unreadable-object", verdict: "deny" });
  });

  it("is judged by its policies when its object comes", () => {
    const engine = engineOf(ONE_RULE, { failMode: "open" });
    const ips = [parseIp("10.0.0.9")];
    engine.apply([{ kind: "local", id: "new", object: { id: "new", namespace: "x", name: "new", ips } }]);
    engine.apply([{ kind: "pod", at: { namespace: "x", name: "new" }, object: servingPod("x", "new", ips) }]);
    const packet = { peer: parseIp("10.0.0.2"), protocol: "TCP", port: 9 } as const;
    expect(engine.verdict("new", "ingress", packet, () => false)?.verdict).toBe("deny");
  });
});
