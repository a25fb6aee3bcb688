import { readable } from "../models/k8s/entry.ts";
import { type Direction, type PolicyRef, refText } from "./api.ts";
import type { CompiledPeer, CompiledPolicy, CompiledRule, PodQuery } from "./compile/compiled.ts";
import { compareRefs } from "./compile/compiled.ts";
import type { PolicyEngine } from "./engine.ts";
import { inScope, selects } from "./index/query.ts";
import { isPeer, type PodRecord } from "./index/records.ts";

export type FindingKind =
  /** The API server would refuse it, or it is beyond what this Heddle knows. */
  | "invalid"
  /** Valid, but hardly meant. */
  | "odd"
  /** No pod is selected. */
  | "selects-nothing"
  /** A peer means no pod. */
  | "peer-selects-nothing"
  /** A selector that has requirements excludes no pod. */
  | "selects-everything"
  /** A rule allows all traffic, so that the others of its direction mean nothing. */
  | "allows-everything"
  /** Two peers, namespaces and pods, where one peer with both may have been meant. */
  | "or-instead-of-and"
  /** No pod that is meant has a port of that name. */
  | "unknown-port"
  /** Which of two policies wins is not defined by the API. */
  | "same-priority";

/** Something in a policy that deserves a look. */
export interface Finding {
  readonly policy: PolicyRef;
  readonly kind: FindingKind;
  /** Such as `spec.ingress[0].from[1]`; "" for the policy as a whole. */
  readonly at: string;
  readonly message: string;
}

/**
 * What is wrong, or probably not meant, in the engine's policies, or in `policies`, which then stand for those of the same
 * names. Without pods in the engine (a file looked at alone) nothing is said about what selectors find. Sorted by policy and
 * place.
 */
export function lint(
  engine: PolicyEngine,
  policies: readonly CompiledPolicy[] = [...engine.policies.all()],
): Finding[] {
  const pods = [...engine.cluster.pods.values()].filter((p) => {
    const object = readable(p.object);
    return object !== undefined && isPeer(object);
  });
  const findings: Finding[] = [];
  for (const policy of policies) {
    const say = (kind: FindingKind, at: string, message: string): void => {
      findings.push({ policy: policy.ref, kind, at, message });
    };
    for (const p of policy.problems) say(p.effect === "none" ? "odd" : "invalid", p.at, p.message);
    lintRules(policy, say);
    if (pods.length > 0) lintAgainst(engine, pods, policy, say);
  }
  const names = new Set(policies.map((p) => refText(p.ref)));
  const others = [...engine.policies.all()].filter((p) => !names.has(refText(p.ref)));
  findings.push(...equalPriorities(policies, others, pods));
  return findings.sort((a, b) => compareRefs(a.policy, b.policy) || (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

type Say = (kind: FindingKind, at: string, message: string) => void;

function* rulesOf(policy: CompiledPolicy): Generator<{ direction: Direction; at: string; rule: CompiledRule }> {
  for (const direction of ["ingress", "egress"] as const) {
    for (const rule of policy.rules[direction] ?? []) yield { direction, at: `spec.${direction}[${rule.index}]`, rule };
  }
}

/** What can be seen without a cluster. */
function lintRules(policy: CompiledPolicy, say: Say): void {
  for (const { direction, at, rule } of rulesOf(policy)) {
    const others = policy.rules[direction]?.length !== 1;
    const everyone = rule.ports === undefined && rule.peers.some((p) => p.kind === "any");
    if (policy.ref.kind === "NetworkPolicy" && everyone && others) {
      say("allows-everything", at, `the rule allows all traffic; the other ${direction} rules have no effect`);
    }
    for (const [i, peer] of rule.peers.entries()) {
      const next = rule.peers[i + 1];
      if (!next || !onlyNamespaces(peer) || !onlyPods(next)) continue;
      say(
        "or-instead-of-and",
        next.at,
        `all pods of ${peer.at}'s namespaces are meant, and also these; for both at once make it one list item`,
      );
    }
  }
}

type PodsPeer = Extract<CompiledPeer, { kind: "pods" }>;

const onlyNamespaces = (p: CompiledPeer): p is PodsPeer =>
  p.kind === "pods" && p.pods.scope.kind === "labels" && p.pods.pods.text === "";

const onlyPods = (p: CompiledPeer): p is PodsPeer =>
  p.kind === "pods" && p.pods.scope.kind === "namespace" && p.pods.pods.text !== "";

function lintAgainst({ cluster }: PolicyEngine, pods: readonly PodRecord[], policy: CompiledPolicy, say: Say): void {
  const subjectAt = policy.ref.kind === "NetworkPolicy" ? "spec.podSelector" : "spec.subject";
  const selected = pods.filter((p) => selects(policy.subject, p));
  if (selected.length === 0) {
    const { namespace } = policy.ref;
    const isMissing = namespace !== "" && !cluster.namespaces.has(namespace);
    say("selects-nothing", subjectAt, `no pod is selected${isMissing ? `: there is no namespace ${namespace}` : ""}`);
  }
  if (excludesNothing(policy.subject, pods)) say("selects-everything", subjectAt, "the selector excludes no pod");
  for (const { direction, rule } of rulesOf(policy)) {
    let meant: readonly PodRecord[] = rule.peers.every((p) => p.kind === "pods") ? [] : pods;
    for (const peer of rule.peers) {
      if (peer.kind !== "pods") continue;
      const found = pods.filter((p) => selects(peer.pods, p));
      if (found.length === 0) say("peer-selects-nothing", peer.at, "no pod is meant");
      if (excludesNothing(peer.pods, pods)) say("selects-everything", peer.at, "the selector excludes no pod");
      meant = [...meant, ...found];
    }
    const targets = direction === "ingress" ? selected : meant;
    for (const port of rule.ports ?? []) {
      if (port.kind !== "name" || targets.length === 0) continue;
      const has = (p: PodRecord): boolean =>
        readable(p.object)?.ports.some((c) => c.name === port.name && (port.protocol ?? c.protocol) === c.protocol) ??
        false;
      if (targets.some(has)) continue;
      const what = `${port.protocol === undefined ? "" : `${port.protocol} `}port named ${JSON.stringify(port.name)}`;
      say("unknown-port", port.at, `none of the ${targets.length} pods that are meant has a ${what}`);
    }
  }
}

/** Requirements that every pod in scope meets. Tells nothing where there are only a few. */
function excludesNothing(query: PodQuery, pods: readonly PodRecord[]): boolean {
  if (query.pods.text === "") return false;
  const near = pods.filter((p) => inScope(query.scope, p.namespace));
  const isNegative = query.pods.requirements.every((r) => r.op === "not-in" || r.op === "missing");
  return near.length > 1 && isNegative && near.every((p) => selects(query, p));
}

function equalPriorities(
  policies: readonly CompiledPolicy[],
  others: readonly CompiledPolicy[],
  pods: readonly PodRecord[],
): Finding[] {
  const sorted = [...policies].sort((a, b) => compareRefs(a.ref, b.ref));
  const groups = Map.groupBy(
    [...others, ...sorted].filter((p) => p.ref.kind === "ClusterNetworkPolicy" && p.priority >= 0),
    (p) => `${p.tier} ${p.priority}`,
  );
  const asked = new Set(policies);
  const out: Finding[] = [];
  for (const group of groups.values()) {
    for (const [i, policy] of group.entries()) {
      if (!asked.has(policy)) continue;
      const other = group
        .slice(0, i)
        .find((o) => pods.some((p) => selects(o.subject, p) && selects(policy.subject, p)));
      if (!other) continue;
      const message = `has tier ${policy.tier} and priority ${policy.priority}, as has ${other.ref.name}, and selects pods that it selects`;
      out.push({ policy: policy.ref, kind: "same-priority", at: "spec.priority", message });
    }
  }
  return out;
}
