import type { PortProtocol } from "../../models/k8s/pod.ts";
import type { Direction, PolicyProblem, PolicyRef, PortRange, TierName, Verdict } from "../api.ts";
import type { AddressBlocks } from "./blocks.ts";
import type { Selector } from "./selector.ts";

/** A policy, checked: what could not be understood has been replaced by what is safe. */
export interface CompiledPolicy {
  readonly ref: PolicyRef;
  readonly tier: TierName;
  /** Within the tier, least first; 0 for NetworkPolicies. */
  readonly priority: number;
  readonly subject: PodQuery;
  /** A direction that is absent is not the policy's concern. An empty one isolates in the tier NetworkPolicy. */
  readonly rules: Readonly<Partial<Record<Direction, readonly CompiledRule[]>>>;
  readonly problems: readonly PolicyProblem[];
}

export interface CompiledRule {
  /** Place in the list that the policy has. */
  readonly index: number;
  readonly name?: string | undefined;
  readonly verdict: Verdict;
  /** A union. Never empty: a rule that matches nobody is left out. */
  readonly peers: readonly CompiledPeer[];
  /** A union; undefined: all traffic. Never empty, for the same reason. */
  readonly ports: readonly CompiledPort[] | undefined;
}

/** `at` is the place in the policy. */
export type CompiledPeer =
  | { readonly kind: "any" }
  | { readonly kind: "blocks"; readonly at: string; readonly blocks: AddressBlocks }
  | { readonly kind: "pods"; readonly at: string; readonly pods: PodQuery };

export type CompiledPort =
  | ({ readonly kind: "range" } & PortRange)
  /** Of every protocol if none is given. */
  | {
      readonly kind: "name";
      readonly at: string;
      readonly name: string;
      readonly protocol?: PortProtocol | undefined;
    };

/** Which pods: by labels, in one namespace, in those with certain labels, or anywhere. Never pods of the host network. */
export interface PodQuery {
  readonly scope: Scope;
  readonly pods: Selector;
}

export type Scope =
  /** The namespace of that name, whether or not its Namespace is known. */
  | { readonly kind: "namespace"; readonly name: string }
  /** Namespaces that are known, by their labels. */
  | { readonly kind: "labels"; readonly namespaces: Selector }
  /** Everywhere, known or not. */
  | { readonly kind: "all" };

export const scopeText = (scope: Scope): string => {
  switch (scope.kind) {
    case "namespace":
      return `namespace ${scope.name}`;
    case "labels":
      return `namespaces {${scope.namespaces.text}}`;
    case "all":
      return "everywhere";
  }
};

export const queryText = (q: PodQuery): string => `pods {${q.pods.text}} in ${scopeText(q.scope)}`;

/** Order of evaluation. */
const TIERS: Readonly<Record<TierName, number>> = { Admin: 0, NetworkPolicy: 1, Baseline: 2 };

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * The order in which policies are evaluated: tier, priority, namespace, name. The API leaves the order of equal priorities
 * open; by name it is at least the same everywhere.
 */
export const comparePolicies = (a: CompiledPolicy, b: CompiledPolicy): number =>
  TIERS[a.tier] - TIERS[b.tier] || a.priority - b.priority || compareRefs(a.ref, b.ref);

export const compareRefs = (a: PolicyRef, b: PolicyRef): number =>
  byText(a.kind, b.kind) || byText(a.namespace, b.namespace) || byText(a.name, b.name);
