import type { Pod } from "../../../src/models/k8s/pod.ts";
import type { OracleState, OracleWiring } from "./state.ts";

/** The Pod that a wiring is of, if that can be told. */
export function podOf(state: OracleState, wiring: OracleWiring): Pod | undefined {
  const pod = state.pods.get(`${wiring.namespace}/${wiring.name}`);
  if (pod === undefined || pod === "unreadable") return undefined;
  if (wiring.uid && pod.uid && wiring.uid !== pod.uid && wiring.uid !== pod.mirrorOf) return undefined;
  return pod;
}

interface Claimant {
  readonly pod: Pod | undefined;
  /** Compared member by member, the greatest has the address. */
  readonly order: readonly (number | string)[];
}

/**
 * Which pod has the address: wired here before any other, a pod that is not being deleted before one that is, the one created
 * last before earlier ones. Pods of the host network and pods that have ended have no address of their own.
 */
export function podAt(state: OracleState, address: string): Pod | undefined {
  const claimants: Claimant[] = [];
  for (const wiring of state.wirings.values()) {
    if (!wiring.ips.some((ip) => ip === address)) continue;
    const pod = podOf(state, wiring);
    const object = state.pods.get(`${wiring.namespace}/${wiring.name}`);
    const uid = object === undefined || object === "unreadable" ? undefined : object.uid;
    const created = object === undefined || object === "unreadable" ? 0 : object.created;
    claimants.push({ pod, order: [2, created, pod ? `${uid} ${pod.namespace}/${pod.name}` : wiring.id] });
  }
  for (const pod of state.pods.values()) {
    if (pod === "unreadable" || pod.hostNetwork || pod.phase === "Succeeded" || pod.phase === "Failed") continue;
    if (!pod.ips.some((ip) => ip === address)) continue;
    const wiredHere = [...state.wirings.values()].some(
      (w) => w.namespace === pod.namespace && w.name === pod.name && podOf(state, w) === pod,
    );
    if (wiredHere) continue; // the wiring knows better
    claimants.push({ pod, order: [pod.terminating ? 0 : 1, pod.created, `${pod.uid} ${pod.namespace}/${pod.name}`] });
  }
  let winner: Claimant | undefined;
  for (const c of claimants) if (!winner || isGreater(c.order, winner.order)) winner = c;
  const pod = winner?.pod;
  return pod && !pod.hostNetwork && pod.phase !== "Succeeded" && pod.phase !== "Failed" ? pod : undefined;
}

function isGreater(a: readonly (number | string)[], b: readonly (number | string)[]): boolean {
  for (const [i, x] of a.entries()) {
    const y = b[i] ?? 0;
    if (x !== y) return x > y;
  }
  return false;
}
