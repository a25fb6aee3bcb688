import { expect, it } from "vitest";
import { list, mapping } from "../../../src/ksr/convert/members.ts";
import { allows, Engines } from "../../support/policy/catalogue/judges.ts";
import { type ObjectChange, WorldState } from "../../support/policy/catalogue/state.ts";
import { loadCatalogue, type Manifest, type PolicyCase } from "../../support/policy/catalogue.ts";

// What implementations have got wrong: those of contiv/vpp's policy plugins, and what conformance suites look for. An engine that
// is told less, or something else, than the manifest says stands for an engine that disregards it.

const { world, cases } = loadCatalogue();

type Json = Readonly<Record<string, unknown>>;

/** Rebuilds a value from the inside out. */
function rewrite(value: unknown, change: (object: Json) => Json): unknown {
  if (Array.isArray(value)) return value.map((v) => rewrite(v, change));
  if (typeof value !== "object" || value === null) return value;
  return change(Object.fromEntries(Object.entries(value).map(([k, v]) => [k, rewrite(v, change)])));
}

/** Of manifests of a kind, every mapping in their spec. */
const inSpec =
  (kind: string, change: (object: Json) => Json) =>
  (m: Manifest): Manifest =>
    m["kind"] === kind ? { ...m, spec: rewrite(m["spec"], change) } : m;
const inPolicy = (change: (object: Json) => Json) => inSpec("NetworkPolicy", change);
const inCluster = (change: (object: Json) => Json) => inSpec("ClusterNetworkPolicy", change);
const without = (object: Json, ...names: string[]): Json =>
  Object.fromEntries(Object.entries(object).filter(([k]) => !names.includes(k)));
const has = (object: Json, ...names: string[]): boolean => names.every((n) => object[n] !== undefined);
const isEmpty = (v: unknown): boolean => JSON.stringify(v) === "{}";
const whereThePort = (is: (port: Json) => boolean, change: (port: Json) => Json) =>
  inPolicy((o) =>
    has(o, "ports") ? { ...o, ports: list(o["ports"]).map((p) => (is(mapping(p)) ? change(mapping(p)) : p)) } : o,
  );

const NOBODY = [{ podSelector: { matchLabels: { nobody: "nobody" } } }];

const MUTANTS: Readonly<Record<string, (m: Manifest) => Manifest | undefined>> = {
  "takes podSelector alone where namespaceSelector is beside it": inPolicy((o) =>
    has(o, "podSelector", "namespaceSelector") ? without(o, "namespaceSelector") : o,
  ),
  "takes namespaceSelector alone where podSelector is beside it": inPolicy((o) =>
    has(o, "podSelector", "namespaceSelector") ? without(o, "podSelector") : o,
  ),
  "takes an empty namespaceSelector for the own namespace": inPolicy((o) =>
    isEmpty(o["namespaceSelector"]) ? { podSelector: {}, ...without(o, "namespaceSelector") } : o,
  ),
  "takes an empty podSelector for nobody": inPolicy((o) =>
    isEmpty(o["podSelector"]) && !has(o, "namespaceSelector") ? { ...o, ...NOBODY[0] } : o,
  ),
  "takes an empty list of peers for nobody": inPolicy((o) =>
    Object.fromEntries(
      Object.entries(o).map(([k, v]) => [k, /^(from|to)$/.test(k) && list(v).length === 0 ? NOBODY : v]),
    ),
  ),
  "does not see except": inPolicy((o) => without(o, "except")),
  "sees the first exception only": inPolicy((o) =>
    has(o, "except") ? { ...o, except: list(o["except"]).slice(0, 1) } : o,
  ),
  "sees the last of several blocks only": inPolicy((o) => {
    const from = list(o["from"]);
    return from.filter((p) => has(mapping(p), "ipBlock")).length > 1 ? { ...o, from: from.slice(-1) } : o;
  }),
  "knows no blocks of IPv6": inPolicy((o) =>
    String(o["cidr"]).includes(":") ? { ...o, cidr: "fdff::/128", except: [] } : o,
  ),
  "does not see endPort": whereThePort(
    (p) => has(p, "endPort"),
    (p) => without(p, "endPort"),
  ),
  "takes a name that it can't resolve for all ports": whereThePort(
    (p) => typeof p["port"] === "string",
    (p) => without(p, "port"),
  ),
  "gives a named port the same number everywhere": whereThePort(
    (p) => p["port"] === "web",
    (p) => ({ ...p, port: 80 }),
  ),
  "takes SCTP for TCP": whereThePort(
    (p) => p["protocol"] === "SCTP",
    (p) => ({ ...p, protocol: "TCP" }),
  ),
  "takes UDP for TCP": whereThePort(
    (p) => p["protocol"] === "UDP",
    (p) => without(p, "protocol"),
  ),
  "takes a protocol alone for all traffic": inPolicy((o) =>
    list(o["ports"]).some((p) => !has(mapping(p), "port")) ? without(o, "ports") : o,
  ),
  "takes policyTypes for both, always": inPolicy((o) =>
    has(o, "podSelector") &&
    !has(o, "namespaceSelector") &&
    (has(o, "policyTypes") || has(o, "ingress") || has(o, "egress"))
      ? { ...o, policyTypes: ["Ingress", "Egress"] }
      : o,
  ),
  "takes absent policyTypes for Ingress, always": inPolicy((o) =>
    !has(o, "policyTypes") && has(o, "egress") ? { ...o, policyTypes: ["Ingress"] } : o,
  ),
  "wants the label to be there for NotIn": inPolicy((o) =>
    has(o, "matchExpressions")
      ? {
          ...o,
          matchExpressions: list(o["matchExpressions"]).flatMap((e) => {
            const { key, operator } = mapping(e);
            return operator === "NotIn" ? [e, { key, operator: "Exists" }] : [e];
          }),
        }
      : o,
  ),
  "sees the first expression only": inPolicy((o) =>
    has(o, "matchExpressions") ? { ...o, matchExpressions: list(o["matchExpressions"]).slice(0, 1) } : o,
  ),
  "sees the first rule only": inPolicy((o) =>
    list(o["ingress"]).length > 1 ? { ...o, ingress: list(o["ingress"]).slice(0, 1) } : o,
  ),
  "takes Pass for Accept": inCluster((o) => (o["action"] === "Pass" ? { ...o, action: "Accept" } : o)),
  "takes no notice of Pass": inCluster((o) =>
    has(o, "ingress") ? { ...o, ingress: list(o["ingress"]).filter((r) => mapping(r)["action"] !== "Pass") } : o,
  ),
  "takes larger priorities first": inCluster((o) =>
    typeof o["priority"] === "number" && o["priority"] <= 1000 ? { ...o, priority: 1000 - o["priority"] } : o,
  ),
  "takes Baseline for Admin": inCluster((o) => (o["tier"] === "Baseline" ? { ...o, tier: "Admin" } : o)),
  "takes Admin for Baseline": inCluster((o) => (o["tier"] === "Admin" ? { ...o, tier: "Baseline" } : o)),
  "does not see the protocols of cluster rules": inCluster((o) => without(o, "protocols")),
  "has no networks": inCluster((o) => (has(o, "networks") ? { networks: ["fdff::/128"] } : o)),
  "passes over unknown peers": inCluster((o) => {
    const known = (p: unknown) => ["namespaces", "pods", "networks"].some((n) => has(mapping(p), n));
    return has(o, "from")
      ? {
          ...o,
          from: list(o["from"])
            .filter(known)
            .concat({ namespaces: { matchLabels: { no: "one" } } }),
        }
      : o;
  }),
  "does not know ClusterNetworkPolicies": (m) => (m["kind"] === "ClusterNetworkPolicy" ? undefined : m),
  "takes pods of the host's network for others": (m) => {
    const spec = mapping(m["spec"]);
    return m["kind"] === "Pod" && spec["hostNetwork"] === true ? { ...m, spec: { ...spec, hostNetwork: false } } : m;
  },
  "takes pods that have ended for others": (m) =>
    ["Succeeded", "Failed"].includes(String(mapping(m["status"])["phase"]))
      ? { ...m, status: { ...mapping(m["status"]), phase: "Running" } }
      : m,
};

/** Whether a case finds fault with an engine that is told something else. */
function finds(c: PolicyCase, told: (change: ObjectChange, step: number) => ObjectChange | undefined): boolean {
  const state = new WorldState(world);
  const engines = new Engines(world);
  engines.apply(state.begin());
  return c.steps.some((step, i) => {
    engines.apply(state.step(step).flatMap((change) => told(change, i) ?? []));
    const passes = engines.judge();
    return step.expected.some((cell) => allows(world, passes, cell) !== cell.allowed);
  });
}

it.each(Object.entries(MUTANTS))("finds fault with an engine that %s", (_, mutate) => {
  const told = (change: ObjectChange): ObjectChange | undefined => {
    if (change.what === "delete") return change;
    const manifest = mutate(change.manifest);
    return manifest && { what: "put", manifest };
  };
  const concerned = cases.filter((c) =>
    c.steps.some((s) => [...s.objects, ...s.put].some((m) => JSON.stringify(mutate(m)) !== JSON.stringify(m))),
  );
  expect(concerned.length).toBeGreaterThan(0);
  const found = concerned.find((c) => finds(c, told));
  expect(found?.id).toBeDefined();
});

it.each<readonly [what: string, told: (change: ObjectChange, step: number) => ObjectChange | undefined]>([
  ["changed labels of pods", (c, i) => (i > 0 && c.what === "put" && c.manifest["kind"] === "Pod" ? undefined : c)],
  [
    "changed labels of namespaces",
    (c, i) => (i > 0 && c.what === "put" && c.manifest["kind"] === "Namespace" ? undefined : c),
  ],
  [
    "changed policies",
    (c, i) => (i > 0 && c.what === "put" && /Policy/.test(String(c.manifest["kind"])) ? undefined : c),
  ],
  ["deleted policies", (c) => (c.what === "delete" ? undefined : c)],
])("finds fault with an engine that does not see %s", (_, told) => {
  expect(cases.filter((c) => c.steps.length > 1).find((c) => finds(c, told))?.id).toBeDefined();
});
