import type { Here } from "../index/here.ts";
import { type Candidate, isLastResort } from "./candidates.ts";

/** Which of a service port's endpoints are chosen. */
export type Choice =
  /** Nobody serves. */
  | "none"
  /** Those that are ready. */
  | "ready"
  /** Those that are ready and hinted for this node, or for its zone. */
  | "same-node"
  | "same-zone"
  /** None is ready: those that serve while they terminate. */
  | "last-resort";

/** Why hints are not followed. */
export type HintsUnused =
  /** No endpoint has any. */
  | "none"
  /** An endpoint that is ready has none. */
  | "incomplete"
  /** No endpoint is hinted for this node, or its zone. */
  | "not-for-here";

const hints = ({ endpoint }: Candidate, of: "forNodes" | "forZones"): readonly string[] => endpoint[of] ?? [];

/** For clients of the cluster. Hints count only if all endpoints that are ready have them, and some are meant for here. */
export function chooseCluster(candidates: readonly Candidate[], here: Here): Choice {
  if (!candidates.some((c) => c.ready)) return candidates.some(isLastResort) ? "last-resort" : "none";
  if (hintsUnused(candidates, "forNodes", here.config.node) === undefined) return "same-node";
  if (hintsUnused(candidates, "forZones", here.zone) === undefined) return "same-zone";
  return "ready";
}

/** Undefined: they are followed, there being endpoints that are ready. */
export function hintsUnused(
  candidates: readonly Candidate[],
  of: "forNodes" | "forZones",
  place: string,
): HintsUnused | undefined {
  let [every, some, forHere] = [true, false, false];
  for (const candidate of candidates) {
    if (!candidate.ready) continue;
    const places = hints(candidate, of);
    if (places.length === 0) every = false;
    else some = true;
    if (places.includes(place)) forHere = true;
  }
  if (!every || !some) return some ? "incomplete" : "none";
  return forHere ? undefined : "not-for-here";
}

/** For clients that must stay on this node: of the endpoints that are here, hints don't matter. */
export function chooseLocal(candidates: readonly Candidate[]): Choice {
  if (candidates.some((c) => c.local && c.ready)) return "ready";
  return candidates.some((c) => c.local && isLastResort(c)) ? "last-resort" : "none";
}

/** Why an endpoint is in a pool, or is not. */
export type Reason =
  | "not-local"
  | "not-ready"
  | "not-serving"
  | "other-node"
  | "other-zone"
  | "draining"
  | Exclude<Choice, "none">;

const IN: ReadonlySet<Reason> = new Set(["last-resort", "ready", "same-node", "same-zone"]);
export const isIn = (reason: Reason): boolean => IN.has(reason);

/** What becomes of an endpoint, the choice being made among all those of its port. */
export function reasonOf(c: Candidate, choice: Choice, scope: "cluster" | "local", here: Here): Reason {
  if (scope === "local" && !c.local) return "not-local";
  if (choice === "last-resort" && isLastResort(c)) return "last-resort";
  if (!c.ready) return isLastResort(c) ? "draining" : c.endpoint.serving ? "not-ready" : "not-serving";
  if (choice === "same-node") return hints(c, "forNodes").includes(here.config.node) ? choice : "other-node";
  if (choice === "same-zone") return hints(c, "forZones").includes(here.zone) ? choice : "other-zone";
  return "ready";
}
