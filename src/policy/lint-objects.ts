import { isUnreadable } from "../models/k8s/entry.ts";
import type { NetworkPolicy } from "../models/k8s/network-policy.ts";
import type { PolicyInput, PolicyRef } from "./api.ts";
import { compareRefs } from "./compile/compiled.ts";
import { PolicyEngine } from "./engine.ts";
import { Policies } from "./index/policies.ts";
import { type Finding, lint } from "./lint.ts";

/** What is wrong in the policies among `objects`, beside the pods and namespaces that `engine` knows, or, without it, that are among them. */
export function lintObjects(objects: readonly PolicyInput[], engine?: PolicyEngine): Finding[] {
  const policies = new Policies();
  const written: Finding[] = [];
  for (const input of objects) {
    if (input.kind === "clusternetworkpolicy") policies.putClusterNetworkPolicy(input.at, input.object);
    if (input.kind !== "networkpolicy") continue;
    policies.putNetworkPolicy(input.at, input.object);
    if (input.object && !isUnreadable(input.object)) written.push(...emptyLists(input.object));
  }
  let cluster = engine;
  if (!cluster) {
    cluster = new PolicyEngine();
    cluster.apply(objects);
  }
  const found = [...lint(cluster, [...policies.all()]), ...written];
  return found.sort((a, b) => compareRefs(a.policy, b.policy) || (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
}

/** `from: []` looks like nobody, and means everybody. */
function* emptyLists(policy: NetworkPolicy): Iterable<Finding> {
  const ref: PolicyRef = { kind: "NetworkPolicy", namespace: policy.namespace, name: policy.name };
  for (const direction of ["ingress", "egress"] as const) {
    for (const [i, { peers, ports }] of (policy[direction] ?? []).entries()) {
      const at = `spec.${direction}[${i}]`;
      const side = direction === "ingress" ? "from" : "to";
      const say = (member: string, means: string): Finding => ({
        policy: ref,
        kind: "odd",
        at: `${at}.${member}`,
        message: `an empty list means ${means}, as if it were left out`,
      });
      if (peers?.length === 0) yield say(side, "everyone");
      if (ports?.length === 0) yield say("ports", "all traffic");
    }
  }
}

/** A finding that says that something will not be enforced as written. */
export const isError = ({ kind }: Finding): boolean => kind === "invalid";
