import { list, mapping } from "../../../../src/ksr/convert/members.ts";
import type { PolicyCase } from "../catalogue.ts";
import type { Manifest } from "./world.ts";

// What cases are about, told from their manifests, so that nobody can claim it without its being so.

type Json = Readonly<Record<string, unknown>>;

/** Something that the catalogue must be about. */
export interface Feature {
  /** Number of cases. */
  readonly atLeast: number;
  readonly isIn: (c: PolicyCase) => boolean;
}

interface Rule {
  readonly direction: "egress" | "ingress";
  readonly rule: Json;
  readonly peers: readonly Json[];
}

/** A NetworkPolicy or ClusterNetworkPolicy of a case. */
interface Policy {
  readonly spec: Json;
  readonly rules: readonly Rule[];
}

const manifestsOf = (c: PolicyCase): Manifest[] => c.steps.flatMap((s) => [...s.put]);

function policiesOf(c: PolicyCase, kind: string): Policy[] {
  return manifestsOf(c)
    .filter((m) => m["kind"] === kind)
    .map((m) => {
      const spec = mapping(m["spec"]);
      const rules = (["ingress", "egress"] as const).flatMap((direction) =>
        list(spec[direction]).map((raw): Rule => {
          const rule = mapping(raw);
          const peers = list(rule[direction === "ingress" ? "from" : "to"]).map(mapping);
          return { direction, rule, peers };
        }),
      );
      return { spec, rules };
    });
}

const NP = "NetworkPolicy";
const CNP = "ClusterNetworkPolicy";

const good = (c: PolicyCase): boolean => !c.file.startsWith("bad-");
const np = (test: (p: Policy) => boolean) => (c: PolicyCase) => good(c) && policiesOf(c, NP).some(test);
const cnp = (test: (p: Policy) => boolean) => (c: PolicyCase) => good(c) && policiesOf(c, CNP).some(test);
const npRule = (test: (r: Rule) => boolean) => np((p) => p.rules.some(test));
const npPeer = (test: (peer: Json, r: Rule) => boolean) => npRule((r) => r.peers.some((p) => test(p, r)));
const npPort = (test: (port: Json, r: Rule) => boolean) =>
  npRule((r) => list(r.rule["ports"]).some((p) => test(mapping(p), r)));
const cnpRule = (test: (r: Rule) => boolean) => cnp((p) => p.rules.some(test));
const cnpPeer = (test: (peer: Json) => boolean) => cnpRule((r) => r.peers.some(test));
const cnpProtocol = (test: (p: Json) => boolean) =>
  cnpRule((r) => list(r.rule["protocols"]).some((p) => test(mapping(p))));

const blockOf = (peer: Json): Json => mapping(peer["ipBlock"]);
const isV6 = (cidr: unknown): boolean => String(cidr).includes(":");
const text = (v: unknown): string => JSON.stringify(v);
const hasOperator = (operator: string) => (c: PolicyCase) =>
  good(c) && manifestsOf(c).some((m) => text(m).includes(`"operator":"${operator}"`));
const isEmpty = (v: unknown): boolean => v !== undefined && text(v) === "{}";
const types = (p: Policy): string => list(p.spec["policyTypes"]).join();
const twoOf = (c: PolicyCase, kind: string): boolean => policiesOf(c, kind).length >= 2;
const deniesAll = (p: Policy, type: string): boolean =>
  types(p).includes(type) && !p.rules.some((r) => r.direction === type.toLowerCase());
const tierOf = (c: PolicyCase, tier: string): boolean => policiesOf(c, CNP).some((p) => p.spec["tier"] === tier);

/** Every theme that the catalogue must have, by what it is called. */
export const FEATURES: Readonly<Record<string, Feature>> = {
  "default deny of ingress": { atLeast: 10, isIn: np((p) => deniesAll(p, "Ingress")) },
  "default deny of egress": { atLeast: 8, isIn: np((p) => deniesAll(p, "Egress")) },
  "rules that allow everything": { atLeast: 4, isIn: npRule((r) => isEmpty(r.rule)) },
  "podSelector of a policy: everything": { atLeast: 20, isIn: np((p) => isEmpty(p.spec["podSelector"])) },
  "podSelector of a policy: labels": {
    atLeast: 20,
    isIn: np((p) => mapping(p.spec["podSelector"])["matchLabels"] !== undefined),
  },
  "podSelector of a policy: expressions": {
    atLeast: 8,
    isIn: np((p) => mapping(p.spec["podSelector"])["matchExpressions"] !== undefined),
  },
  "peers by podSelector": {
    atLeast: 15,
    isIn: npPeer((p) => p["podSelector"] !== undefined && p["namespaceSelector"] === undefined),
  },
  "peers by namespaceSelector": {
    atLeast: 15,
    isIn: npPeer((p) => p["namespaceSelector"] !== undefined && p["podSelector"] === undefined),
  },
  "peers by both selectors": {
    atLeast: 10,
    isIn: npPeer((p) => p["namespaceSelector"] !== undefined && p["podSelector"] !== undefined),
  },
  "several peers in a rule": { atLeast: 8, isIn: npRule((r) => r.peers.length > 1) },
  "same namespace only": {
    atLeast: 4,
    isIn: npPeer((p) => isEmpty(p["podSelector"]) && p["namespaceSelector"] === undefined),
  },
  "all namespaces": { atLeast: 6, isIn: npPeer((p) => isEmpty(p["namespaceSelector"])) },
  "a namespace by name": {
    atLeast: 2,
    isIn: (c) => manifestsOf(c).some((m) => text(m).includes("kubernetes.io/metadata.name")),
  },
  In: { atLeast: 6, isIn: hasOperator("In") },
  NotIn: { atLeast: 8, isIn: hasOperator("NotIn") },
  Exists: { atLeast: 5, isIn: hasOperator("Exists") },
  DoesNotExist: { atLeast: 6, isIn: hasOperator("DoesNotExist") },
  contradictions: { atLeast: 5, isIn: (c) => /contradict/.test(c.name) },
  ipBlock: { atLeast: 20, isIn: npPeer((p) => p["ipBlock"] !== undefined) },
  "ipBlock of IPv6": { atLeast: 8, isIn: npPeer((p) => isV6(blockOf(p)["cidr"])) },
  "ipBlock at egress": { atLeast: 6, isIn: npPeer((p, r) => p["ipBlock"] !== undefined && r.direction === "egress") },
  except: { atLeast: 8, isIn: npPeer((p) => list(blockOf(p)["except"]).length > 0) },
  "except of IPv6": { atLeast: 3, isIn: npPeer((p) => list(blockOf(p)["except"]).some(isV6)) },
  "several exceptions": { atLeast: 4, isIn: npPeer((p) => list(blockOf(p)["except"]).length > 1) },
  "several blocks in a rule": {
    atLeast: 6,
    isIn: npRule((r) => r.peers.filter((p) => p["ipBlock"] !== undefined).length > 1),
  },
  "ports by number": { atLeast: 20, isIn: npPort((p) => typeof p["port"] === "number") },
  "ports by name, ingress": {
    atLeast: 8,
    isIn: npPort((p, r) => typeof p["port"] === "string" && r.direction === "ingress"),
  },
  "ports by name, egress": {
    atLeast: 4,
    isIn: npPort((p, r) => typeof p["port"] === "string" && r.direction === "egress"),
  },
  endPort: { atLeast: 8, isIn: npPort((p) => p["endPort"] !== undefined) },
  "a protocol without port": {
    atLeast: 6,
    isIn: npPort((p) => p["port"] === undefined && p["protocol"] !== undefined),
  },
  UDP: { atLeast: 8, isIn: npPort((p) => p["protocol"] === "UDP") },
  SCTP: { atLeast: 8, isIn: npPort((p) => p["protocol"] === "SCTP") },
  "policyTypes absent or empty": { atLeast: 10, isIn: np((p) => types(p) === "") },
  "policyTypes Ingress": { atLeast: 10, isIn: np((p) => types(p) === "Ingress") },
  "policyTypes Egress": { atLeast: 10, isIn: np((p) => types(p) === "Egress") },
  "policyTypes Ingress and Egress": { atLeast: 10, isIn: np((p) => types(p) === "Ingress,Egress") },
  "rules that policyTypes does not name": {
    atLeast: 2,
    isIn: np((p) => types(p) !== "" && p.rules.some((r) => !types(p).toLowerCase().includes(r.direction))),
  },
  "an empty list of rules": {
    atLeast: 3,
    isIn: np((p) => ["ingress", "egress"].some((d) => text(p.spec[d]) === "[]")),
  },
  "an empty list of peers": { atLeast: 2, isIn: npRule((r) => ["from", "to"].some((s) => text(r.rule[s]) === "[]")) },
  "an empty list of ports": { atLeast: 1, isIn: npRule((r) => text(r.rule["ports"]) === "[]") },
  "rules without peers": { atLeast: 10, isIn: npRule((r) => !("from" in r.rule) && !("to" in r.rule)) },
  "unions of policies": { atLeast: 15, isIn: (c) => twoOf(c, NP) },
  "both ends isolated": {
    atLeast: 6,
    isIn: (c) =>
      policiesOf(c, NP).some((p) => types(p).includes("Egress")) &&
      policiesOf(c, NP).some((p) => !types(p).includes("Egress") || types(p).includes("Ingress")),
  },
  "label changes of pods": {
    atLeast: 4,
    isIn: (c) => c.steps.some((s) => Object.keys(s.labels).some((k) => k.includes("/"))),
  },
  "label changes of namespaces": {
    atLeast: 3,
    isIn: (c) => c.steps.some((s) => Object.keys(s.labels).some((k) => !k.includes("/"))),
  },
  "policies that are replaced": { atLeast: 4, isIn: (c) => c.steps.slice(1).some((s) => s.put.length > 0) },
  "policies that are deleted": { atLeast: 3, isIn: (c) => c.steps.some((s) => s.delete.length > 0) },
  "hosts, the own node, a pod itself": { atLeast: 15, isIn: (c) => c.file === "hosts.yaml" },
  "pods of the host's network": {
    atLeast: 3,
    isIn: (c) => c.steps.some((s) => s.objects.some((o) => mapping(o["spec"])["hostNetwork"] === true)),
  },
  "pods that have ended": {
    atLeast: 2,
    isIn: (c) => c.steps.some((s) => s.objects.some((o) => /Succeeded|Failed/.test(text(o["status"])))),
  },
  "tier Admin": { atLeast: 30, isIn: (c) => good(c) && tierOf(c, "Admin") },
  "tier Baseline": { atLeast: 10, isIn: (c) => good(c) && tierOf(c, "Baseline") },
  "Admin beside NetworkPolicies": {
    atLeast: 8,
    isIn: (c) => good(c) && tierOf(c, "Admin") && policiesOf(c, NP).length > 0,
  },
  "Baseline beside NetworkPolicies": {
    atLeast: 4,
    isIn: (c) => good(c) && tierOf(c, "Baseline") && policiesOf(c, NP).length > 0,
  },
  "all three tiers": {
    atLeast: 2,
    isIn: (c) => good(c) && tierOf(c, "Admin") && tierOf(c, "Baseline") && policiesOf(c, NP).length > 0,
  },
  "several cluster policies": { atLeast: 8, isIn: (c) => good(c) && twoOf(c, CNP) },
  Accept: { atLeast: 12, isIn: cnpRule((r) => r.rule["action"] === "Accept") },
  Deny: { atLeast: 25, isIn: cnpRule((r) => r.rule["action"] === "Deny") },
  Pass: { atLeast: 5, isIn: cnpRule((r) => r.rule["action"] === "Pass") },
  "cluster rules of egress": { atLeast: 12, isIn: cnpRule((r) => r.direction === "egress") },
  "subjects by namespaces": { atLeast: 20, isIn: cnp((p) => mapping(p.spec["subject"])["namespaces"] !== undefined) },
  "subjects by pods": { atLeast: 2, isIn: cnp((p) => mapping(p.spec["subject"])["pods"] !== undefined) },
  "cluster peers by namespaces": { atLeast: 20, isIn: cnpPeer((p) => p["namespaces"] !== undefined) },
  "cluster peers by pods": { atLeast: 4, isIn: cnpPeer((p) => p["pods"] !== undefined) },
  "cluster peers by networks": { atLeast: 6, isIn: cnpPeer((p) => p["networks"] !== undefined) },
  "cluster protocols: tcp": { atLeast: 4, isIn: cnpProtocol((p) => p["tcp"] !== undefined) },
  "cluster protocols: udp": { atLeast: 3, isIn: cnpProtocol((p) => p["udp"] !== undefined) },
  "cluster protocols: sctp": { atLeast: 3, isIn: cnpProtocol((p) => p["sctp"] !== undefined) },
  "cluster protocols: ranges": { atLeast: 3, isIn: cnpProtocol((p) => text(p).includes('"range"')) },
  "cluster protocols: names": { atLeast: 4, isIn: cnpProtocol((p) => p["destinationNamedPort"] !== undefined) },
  "bad NetworkPolicies": { atLeast: 20, isIn: (c) => !good(c) && policiesOf(c, NP).length > 0 },
  "bad ClusterNetworkPolicies": { atLeast: 20, isIn: (c) => !good(c) && policiesOf(c, CNP).length > 0 },
};
