import type { Step } from "../catalogue.ts";
import type { ObjectChange, WorldState } from "./state.ts";
import type { Manifest } from "./world.ts";

/** How what a case is about comes to be in force; `delete`: how it goes. */
export const WAYS = ["create", "update", "labels of pods", "labels of namespaces", "delete"] as const;
export type CaseWay = (typeof WAYS)[number];

/**
 * What leads to a case's first step on the bare world, one lot after the other; each is to be in force before the next. By
 * updates, its policies said something else before; by labels, all pods, or all namespaces, had none when its policies came.
 */
export function beginningBy(way: CaseWay, state: WorldState, first: Step): ObjectChange[][] {
  switch (way) {
    case "create":
    case "delete":
      return [state.step(first)];
    case "update": {
      const others = first.put.map((manifest): ObjectChange => ({ what: "put", manifest: another(manifest) }));
      return [others, state.step(first)];
    }
    case "labels of pods":
      return [[...state.step(first), ...state.unlabelled("pods")], state.labelled("pods")];
    case "labels of namespaces":
      return [[...state.step(first), ...state.unlabelled("namespaces")], state.labelled("namespaces")];
  }
}

/** A policy of the same name that shuts everybody out. */
function another({ apiVersion, kind, metadata }: Manifest): Manifest {
  const everybody = [{ namespaces: {} }];
  const spec =
    kind === "NetworkPolicy"
      ? { podSelector: {}, policyTypes: ["Ingress", "Egress"] }
      : {
          tier: "Admin",
          priority: 0,
          subject: { namespaces: {} },
          ingress: [{ name: "nobody", action: "Deny", from: everybody }],
          egress: [{ name: "nobody", action: "Deny", to: everybody }],
        };
  return { apiVersion, kind, metadata, spec };
}
