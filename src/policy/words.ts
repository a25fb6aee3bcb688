import type { NamedPort } from "../models/k8s/pod.ts";
import type { Direction, Isolation, ObjectName, PortProtocol } from "./api.ts";
import { cidrsOf, isEveryAddress } from "./compile/blocks.ts";
import type { CompiledPeer, CompiledPort, PodQuery, Scope } from "./compile/compiled.ts";
import type { Selector } from "./compile/selector.ts";

// Policies in words, as people write about them.

/** Networks of a rule that are listed; more are counted. */
const MAX_NETWORKS = 8;

/** `app=web,tier in (a,b),!debug`, as `kubectl -l` takes it; "" for one that selects everything. */
export const selectorWords = ({ requirements }: Selector): string =>
  requirements
    .map((r) => {
      switch (r.op) {
        case "exists":
          return r.key;
        case "missing":
          return `!${r.key}`;
        case "in":
          return r.values.size === 1 ? `${r.key}=${[...r.values].join()}` : `${r.key} in (${[...r.values].join()})`;
        case "not-in":
          return `${r.key} notin (${[...r.values].join()})`;
      }
    })
    .join(",");

/** `pods app=web in namespace shop`. */
export function podsWords({ pods, scope }: PodQuery): string {
  const selector = selectorWords(pods);
  return `${selector === "" ? "all pods" : `pods ${selector}`} ${scopeWords(scope)}`;
}

function scopeWords(scope: Scope): string {
  switch (scope.kind) {
    case "namespace":
      return `in namespace ${scope.name}`;
    case "labels": {
      const selector = selectorWords(scope.namespaces);
      return selector === "" ? "in all namespaces" : `in namespaces ${selector}`;
    }
    case "all":
      return "anywhere";
  }
}

export function peerWords(peer: CompiledPeer): string {
  switch (peer.kind) {
    case "any":
      return "everyone";
    case "pods":
      return podsWords(peer.pods);
    case "blocks": {
      const cidrs = cidrsOf(peer.blocks);
      if (isEveryAddress(cidrs)) return "every address";
      const shown = cidrs.slice(0, MAX_NETWORKS).join(", ");
      return cidrs.length > MAX_NETWORKS ? `${shown} and ${cidrs.length - MAX_NETWORKS} more networks` : shown;
    }
  }
}

/** `podPorts`: of the pod whose policies these are. */
export function portWords(port: CompiledPort, direction: Direction, podPorts: readonly NamedPort[]): string {
  if (port.kind === "range") return rangeWords(port);
  const name = `port ${JSON.stringify(port.name)}${port.protocol === undefined ? "" : ` of ${port.protocol}`}`;
  if (direction === "egress") return `${name}, whichever it is of each`;
  const found = podPorts.filter((p) => p.name === port.name && (port.protocol ?? p.protocol) === p.protocol);
  return found.length === 0 ? `${name}, which the pod does not have` : `${name}: ${found.map(namedWords).join(", ")}`;
}

const namedWords = ({ protocol, port }: NamedPort): string => `${protocol} ${port}`;

/** `TCP 80`, `TCP 80-90`, `all of UDP`. */
export function rangeWords({ protocol, first, last }: { protocol: PortProtocol; first: number; last: number }): string {
  if (first <= 1 && last === 65_535) return `all of ${protocol}`;
  return first === last ? `${protocol} ${first}` : `${protocol} ${first}-${last}`;
}

export const ISOLATION_WORDS: Readonly<Record<Isolation, string>> = {
  "no-object": "no Pod object of its name and UID is known (yet)",
  "unreadable-object": "its Pod object can't be read",
  "host-network": "its Pod object says that it is on the host network",
  "no-namespace": "its Namespace is not known, or can't be read",
};

export const podName = ({ namespace, name }: ObjectName): string => `${namespace}/${name}`;
